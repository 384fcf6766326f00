/** Chat templates of strangers: what the library renders is rendered alike, and what never ends, ends. */
import { Template } from '@huggingface/jinja'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BoundedTemplate, TemplateLimit } from '../../../ts/engine/template/jinja.ts'

const messages = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: ' What is 2 + 3? ' },
  { role: 'assistant', content: '5' },
]
const variables = { messages, add_generation_prompt: true, bos_token: '<s>', eos_token: '</s>' }

const TEMPLATES = [
  "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
  "{{ bos_token }}{%- set ns = namespace(n=0) -%}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }} {{ range(10, 0, -3) | join(',') }}{{ range(0) | length }}",
  "{% macro turn(m) %}[{{ m.role | upper }}: {{ m.content }}]{% endmacro %}{% for m in messages if m.role != 'system' %}{{ turn(m) }}{% else %}none{% endfor %}",
  '{{ messages[1:] | tojson }}{{ none is none }}{{ True and not False }}{{ (messages | last).content ~ eos_token }}',
  "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y %m %H %% %x') }}{% endif %}",
]

test('what the library renders is rendered alike', () => {
  for (const template of TEMPLATES)
    assert.is(new BoundedTemplate(template).render(variables), new Template(template).render(variables))
})

test('a long conversation is well within the limits', () => {
  const long = Array.from({ length: 500 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: 'x'.repeat(2000) }))
  const text = new BoundedTemplate(TEMPLATES[0] as string).render({ ...variables, messages: long })
  assert.ok(text.length > 1_000_000)
})

const LOOP = '{% for i in range(1000) %}'
const HOSTILE = {
  'a range of all numbers': '{% for i in range(1000000000000) %}{% endfor %}',
  'a range without end': '{{ range(0, 10, 0) | length }}',
  'loops in loops': `${LOOP}${LOOP}${LOOP}{{ i }}{% endfor %}{% endfor %}{% endfor %}`,
  'a text that doubles':
    "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
  'a list that doubles': '{% set ns = namespace(l=[1, 2]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}',
  'work on a large text': `{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(18) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}${LOOP}{{ ns.s | upper | length }}{% endfor %}`,
  'a macro that calls itself': '{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}',
  'a macro that calls itself twice':
    '{% macro f(n) %}{% if n < 40 %}{{ f(n + 1) }}{{ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}',
  'an indent of all columns': "{{ 'a\\nb' | indent(1000000000) }}",
  brackets: `{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`,
  'a template of 2 MB': '{{ 1 }}'.repeat(300_000),
}

for (const [name, template] of Object.entries(HOSTILE)) {
  test(`${name}: an error, after bounded work`, () => {
    const before = process.cpuUsage()
    assert.throws(
      () => new BoundedTemplate(template).render(variables),
      (e: unknown) => e instanceof Error,
    )
    const { user, system } = process.cpuUsage(before)
    assert.ok((user + system) / 1e6 < 10, `${(user + system) / 1e6} s of work`)
  })
}

test('a limit is told apart from a refusal', () => {
  assert.throws(() => new BoundedTemplate("{{ raise_exception('roles must alternate') }}").render(variables), /^roles must alternate$/) // biome-ignore format: short
  assert.throws(
    () => new BoundedTemplate(HOSTILE['loops in loops']).render(variables),
    (e: unknown) => e instanceof TemplateLimit,
  )
})

test.run()

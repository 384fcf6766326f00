/** What a thinking model's chat template is told, by the engine, by a policy and on the command line. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { openPolicy, type PolicyOptions } from '../../ts/kit/index.ts'
import { serve } from '../../ts/serve/index.ts'
import { copyCheckpoint, pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { startCli } from '../helpers/cli.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-variables-'))
test.after(() => rmSync(work, { recursive: true }))
const THINKING = pickCheckpoint({ architecture: /^Qwen3ForCausalLM$/ })
const question = 'How many fruits?'
const problem = { id: 'a', question, answer: '42' }
const greedy = { temperature: 0 }
const input = join(work, 'in.jsonl')
writeFileSync(input, `${JSON.stringify({ id: 1, question })}\n`)

/** The first completion of the command. */
async function written(...more: string[]): Promise<string> {
  const args = ['generate', '--model', THINKING, '--input', input, '--temperature', '0', '--max-tokens', '8', ...more]
  const { code, stdout, stderr } = await startCli(args).ended
  assert.is(code, 0, stderr)
  return JSON.parse(stdout).completions[0].text
}

test('generate tells the template its variables: JSON, or a text', async () => {
  await using engine = await Engine.open({ model: THINKING })
  const byEngine = async (templateVariables: Record<string, boolean | string>) => {
    const [first] = await engine.generate({ question, maxTokens: 8, sampling: greedy, templateVariables, seed: 0 })
    return first?.text
  }
  const off = await byEngine({ enable_thinking: false })
  assert.is.not(off, await byEngine({ enable_thinking: true }), 'the template closes an empty thought')
  assert.is(await written('--template-variable', 'enable_thinking=false'), off)
  const text = await written('--template-variable', 'enable_thinking=no', '--template-variable', 'other={"a": 1}')
  assert.is(text, await byEngine({ enable_thinking: 'no' }), 'what is no JSON is a text, which is not false')
})

test('a policy asks with them and is another one by them', async () => {
  const identities = []
  const texts = []
  for (const enable_thinking of [true, false]) {
    const options = { sampling: { ...greedy, maxTokens: 8 }, templateVariables: { enable_thinking } }
    await using policy = await openPolicy({ model: THINKING, ...options })
    identities.push(policy.identity.templateVariables)
    const [[rollout] = []] = await policy.rollouts([{ problem, prefix: [], seed: 1, from: 0, count: 1 }])
    texts.push(rollout?.text)
  }
  assert.equal(identities, [{ enable_thinking: true }, { enable_thinking: false }])
  assert.is.not(texts[0], texts[1])
})

test('where no template is read they are refused, not left out', async () => {
  await using engine = await Engine.open({ model: pickCheckpoint({ architecture: /^InternVLChatModel$/ }) })
  const messages = [{ role: 'user' as const, content: question }]
  const images = [join(pickCheckpoint({ architecture: /^InternVLChatModel$/ }), 'image-0.png')]
  const error = await engine.generate({ messages, images, templateVariables: { a: 1 } }).catch((e: unknown) => e)
  assert.instance(error, EngineError)
  assert.match((error as Error).message, /templateVariables are told to the folder's own chat template/)
})

for (const [what, args, says] of [
  ['no value', ['enable_thinking'], /--template-variable must be NAME=VALUE, got "enable_thinking"/],
  ['no name', ['=1'], /--template-variable must be NAME=VALUE, got "=1"/],
  ['a name twice', ['a=1', '--template-variable', 'a=2'], /--template-variable a is given twice/],
] as const) {
  test(`bad use: ${what}`, async () => {
    const all = ['generate', '--model', THINKING, '--input', input, '--template-variable', ...args]
    const { code, stderr } = await startCli(all).ended
    assert.is(code, 2)
    assert.match(stderr, says)
  })
}

/** The texts of both ways of thinking, by a policy of these options. */
async function bothWays(options: PolicyOptions): Promise<(string | undefined)[]> {
  const texts = []
  for (const enable_thinking of [true, false]) {
    const sampling = { ...greedy, maxTokens: 8 }
    await using policy = await openPolicy({ ...options, steps: 'line', sampling, templateVariables: { enable_thinking } })
    assert.equal(policy.identity.templateVariables, { enable_thinking })
    const [[rollout] = []] = await policy.rollouts([{ problem, prefix: [], seed: 1, from: 0, count: 1 }])
    texts.push(rollout?.text)
  }
  return texts
}

test('a server is told them too: the texts of the same model here', async () => {
  await using engine = await Engine.open({ model: THINKING })
  const server = await serve({ policy: engine })
  try {
    const here = await bothWays({ model: THINKING })
    assert.is.not(here[0], here[1])
    assert.equal(await bothWays({ server: `${server.url}/v1`, model: 'any' }), here)
    const post = async (more: object) => {
      const body = JSON.stringify({ messages: [{ role: 'user', content: question }], ...more })
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers, body })
      return [answer.status, await answer.text()] as const
    }
    const [status, text] = await post({ chat_template_kwargs: 'thinking' })
    assert.is(status, 400)
    assert.match(text, /chat_template_kwargs/)
    assert.is((await post({ chat_template_kwargs: {}, max_tokens: 1 }))[0], 200)
  } finally {
    await server.close()
  }
})

test('what is thought in a block that the template opens is no step, though nothing in the text says so', async () => {
  const folder = join(work, 'opens')
  copyCheckpoint(THINKING, folder)
  const opens = '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n'
  const ask = async (model: object) => {
    await using policy = await openPolicy({ ...model, steps: 'line', sampling: { ...greedy, maxTokens: 8 } } as PolicyOptions)
    const [[rollout] = []] = await policy.rollouts([{ problem, prefix: [], seed: 1, from: 0, count: 1, maxSteps: 1 }])
    return rollout
  }
  const askBoth = async (template: string) => {
    writeFileSync(join(folder, 'chat_template.jinja'), template)
    await using engine = await Engine.open({ model: folder })
    const server = await serve({ policy: engine })
    try {
      return [await ask({ model: folder }), await ask({ server: `${server.url}/v1`, model: 'any' })]
    } finally {
      await server.close()
    }
  }
  for (const plain of await askBoth(opens)) assert.ok(plain && plain.steps.length > 0, JSON.stringify(plain))
  for (const thought of await askBoth(`${opens}<think>\n`))
    assert.equal([thought?.outcome, thought?.steps, thought?.text === ''], ['truncated', [], false])
})

test.run()

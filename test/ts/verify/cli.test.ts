/** `mm-prm verify` as a process: one verdict per line, in order, with the line's own options. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startCli } from '../../helpers/cli.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-verify-'))
test.after(() => rmSync(folder, { recursive: true }))
const INPUT = join(folder, 'answers.jsonl')

async function verify(lines: readonly unknown[]) {
  writeFileSync(INPUT, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'))
  const { code, stdout, stderr } = await startCli(['verify', '--input', INPUT]).ended
  return { code, stderr, verdicts: stdout.trimEnd().split('\n').map((line) => JSON.parse(line)) } // biome-ignore format: short
}

test('a verdict per line, in order, under the options of the line', async () => {
  const interval = { gold: '(1,2]', pred: '1<x\\le 2' }
  const { code, verdicts } = await verify([
    { id: 'a', gold: '42', pred: 'so \\boxed{42}' },
    { gold: '42', pred: '43' },
    '',
    { id: 3, gold: '1/3', pred: '0.33' },
    { id: 4, gold: '1/3', pred: '0.33', precision: 2 },
    { id: 5, ...interval },
    { id: 6, ...interval, allowSetRelation: false },
    { id: 7, gold: '$f(x)$', pred: '$f(y)$' },
    { id: 8, gold: '$f(x)$', pred: '$f(y)$', strict: false },
    { id: 9, gold: '5', pred: '$4$ and 5', extract: ['latex'] },
    { id: 10, gold: '5', pred: '$4$ and 5', extract: ['expr'] },
  ])
  assert.is(code, 0)
  assert.equal(
    verdicts.map(({ id, match }) => [id, match]),
    [['a', true], [null, false], [3, false], [4, true], [5, true], [6, false], [7, false], [8, true], [9, false], [10, true]], // biome-ignore format: a table
  )
  assert.ok(verdicts.every(({ method }) => typeof method === 'string'))
})

test('a line that cannot be used becomes an error in its place', async () => {
  const { code, verdicts } = await verify([
    { id: 1, gold: '42', pred: '42' },
    'not json',
    { id: 2, gold: 42, pred: '42' },
    { id: 3, gold: '42' },
    { id: 4, gold: '42', pred: '42', precision: -1 },
    { id: 5, gold: '42', pred: '42', extract: ['latx'] },
    { id: 6, gold: '42', pred: '42' },
  ])
  assert.is(code, 3)
  assert.equal(
    verdicts.map((v) => v.error?.message.replace(/not valid JSON: .*/, 'not valid JSON') ?? v.match),
    [
      true,
      'not valid JSON',
      '"gold" must be a string',
      '"pred" must be a string',
      '"precision" must be a whole number from 0 to 15',
      '"extract" must be a list of "latex" and "expr"',
      true,
    ],
  )
  assert.is(verdicts[1].error.line, 2)
})

test.run()

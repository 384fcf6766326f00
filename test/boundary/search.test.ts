/** Search with the native engine on a tiny checkpoint of random weights: pictures in, a run directory out. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openRun } from '../../ts/store/reader.ts'
import { dumpRun } from '../helpers/dump-run.ts'
import { GOLDEN_ROOT } from '../helpers/golden.ts'

const MAIN = join(import.meta.dirname, '../../ts/cli/main.ts')
const MODEL = join(GOLDEN_ROOT, 'models/internvl2_5-internlm2')
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-native-search-'))
const picture = readdirSync(MODEL)
  .filter((name) => /\.(png|jpe?g)$/.test(name))
  .map((name) => join(MODEL, name))
  .find(existsSync)

const file = join(scratch, 'problems.jsonl')
const problems = ['a', 'b', 'c'].map((id) => ({ id, question: `What is ${id}?`, answer: '5', image: picture }))
writeFileSync(file, problems.map((p) => JSON.stringify(p)).join('\n'))

function search(out: string, ...more: string[]) {
  const args = [
    '--problems',
    file,
    '--out',
    out,
    '--model',
    MODEL,
    '--max-tokens',
    '12',
    '--num-rollouts',
    '4',
    '--json',
    ...more,
  ]
  return spawnSync(process.execPath, ['--import', 'tsx', MAIN, 'search', ...args], { encoding: 'utf8' })
}

test('the engine’s rollouts reach the run; what a random model writes is unparsed or truncated, never wrong', async () => {
  const out = join(scratch, 'omega')
  const ended = search(out, '--seed', '5')
  assert.is(ended.status, 0, ended.stderr)
  const summary = JSON.parse(ended.stdout)
  assert.equal(summary.problems, { running: 0, done: 3, failed: 0 })
  assert.is(summary.correct, 0)
  assert.is(summary.unparsed + summary.truncated, summary.rollouts)
  assert.ok(summary.rollouts >= 12 && summary.tokens > 12)
  const reader = openRun(out)
  assert.is(reader.identity.policy.kind, 'native')
  for await (const { root, problem } of reader.trees()) {
    assert.is(root.counts?.total, 0)
    assert.is(problem.image, picture)
    assert.ok(new Set(root.rollouts.map((r) => r.text)).size > 1, 'rollouts differ')
  }
  reader.close()
  const again = join(scratch, 'again')
  assert.is(search(again, '--seed', '5', '--in-flight', '1', '--threads', '1').status, 0)
  assert.equal(dumpRun(again), dumpRun(out))
})

test('best-of-n with a process reward model as scorer', async () => {
  const out = join(scratch, 'best-of-n')
  const args = [
    '--problems',
    file,
    '--out',
    out,
    '--model',
    MODEL,
    '--max-tokens',
    '8',
    '--strategy',
    'best-of-n',
    '--set',
    'n=3',
    '--scorer',
    MODEL,
  ]
  const ended = spawnSync(process.execPath, ['--import', 'tsx', MAIN, 'search', ...args], { encoding: 'utf8' })
  assert.is(ended.status, 0, ended.stderr)
  const reader = openRun(out)
  assert.match(reader.identity.scorer ?? '', /^mm-prm@[0-9a-f]{16}$/)
  const all = []
  for await (const { candidates } of reader.candidates()) all.push(...candidates)
  reader.close()
  assert.is(all.length, 9)
})

test.after(() => rmSync(scratch, { recursive: true, force: true }))

test.run()

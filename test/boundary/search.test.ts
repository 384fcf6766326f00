/** Search with the native engine on a tiny checkpoint of random weights: pictures in, a run directory out. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openRun } from '../../ts/store/reader.ts'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'
import { dumpRun } from '../helpers/dump-run.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const [PICTURE = ''] = picturesOf(MODEL)
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-native-search-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))

const file = join(scratch, 'problems.jsonl')
const problems = ['a', 'b', 'c'].map((id) => ({ id, question: `What is ${id}?`, answer: '5', image: PICTURE }))
writeFileSync(file, problems.map((p) => JSON.stringify(p)).join('\n'))

function start(out: string, ...more: string[]) {
  const args = ['search', '--problems', file, '--out', out, '--model', MODEL, '--max-tokens', '12', '--json', ...more]
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' })
}

/** The summary of a search of these problems, which is expected to succeed. */
function search(out: string, ...more: string[]) {
  const { status, stdout, stderr } = start(out, ...more)
  assert.is(status, 0, stderr)
  return JSON.parse(stdout)
}

test('the engine’s rollouts reach the run; what a random model writes is unparsed or truncated, never wrong', async () => {
  const out = join(scratch, 'omega')
  const summary = search(out, '--num-rollouts', '4', '--seed', '5')
  assert.equal(summary.problems, { running: 0, done: 3, failed: 0 })
  assert.is(summary.correct, 0)
  assert.is(summary.unparsed + summary.truncated, summary.rollouts)
  assert.ok(summary.rollouts >= 12 && summary.tokens > 12)
  const reader = openRun(out)
  assert.is(reader.identity.policy.kind, 'native')
  for await (const { root, problem } of reader.trees()) {
    assert.is(root.counts?.total, 0)
    assert.is(problem.image, PICTURE)
    assert.ok(new Set(root.rollouts.map((r) => r.text)).size > 1, 'rollouts differ')
  }
  reader.close()
  const again = join(scratch, 'again')
  search(again, '--num-rollouts', '4', '--seed', '5', '--in-flight', '1', '--threads', '1')
  assert.equal(dumpRun(again), dumpRun(out))
})

test('best-of-n with a process reward model as scorer', async () => {
  const out = join(scratch, 'best-of-n')
  search(out, '--strategy', 'best-of-n', '--set', 'n=3', '--scorer', MODEL)
  const reader = openRun(out)
  assert.match(reader.identity.scorer ?? '', /^mm-prm@[0-9a-f]{16}$/)
  const all = []
  for await (const { candidates } of reader.candidates()) all.push(...candidates)
  reader.close()
  assert.is(all.length, 9)
})

test('a search opens its models as the engine can; another type of weights is another run', () => {
  const out = join(scratch, 'int8')
  const engine = ['--isa', 'reference', '--threads', '1', '--max-tiles', '1']
  search(out, '--strategy', 'best-of-n', '--set', 'n=1', '--scorer', MODEL, '--weights', 'int8', ...engine)
  const reader = openRun(out)
  assert.match(reader.identity.policy.modelHash, /^[0-9a-f]{16}\+int8\+tiles=1$/)
  assert.is(reader.identity.scorer, `mm-prm@${reader.identity.policy.modelHash}`)
  reader.close()
  const other = start(out, '--strategy', 'best-of-n', '--set', 'n=1', '--scorer', MODEL, '--dtype', 'int4', ...engine, '--resume')
  assert.match(other.stderr, /policy\.modelHash: .*int8.* → .*int4/)
  for (const [args, message] of [
    [['--dtype', 'int4', '--weights', 'int8'], /--weights is --dtype, but they say int8 and int4/],
    [['--weights', 'int2'], /--weights must be one of f32, bf16, int8, int4, got "int2"/],
    [['--isa', 'sse'], /--isa must be one of/],
  ] as [string[], RegExp][]) {
    const { status, stderr } = start(out, ...args)
    assert.is(status, 2)
    assert.match(stderr, message)
  }
})

test('every command that opens a model takes the same options of the engine', () => {
  for (const command of ['score', 'generate', 'search', 'best-of-n', 'curate', 'dataset', 'eval', 'quickstart']) {
    const { stdout } = spawnSync(process.execPath, [MAIN, command, '--help'], { encoding: 'utf8' })
    for (const option of ['--dtype TYPE', '--weights', '--threads N', '--isa NAME', '--max-tiles N']) {
      assert.ok(stdout.includes(option), `${command} ${option}`)
    }
  }
})

test('a scorer that does not tell how it scores is refused before anything is asked; its family can be named', () => {
  const silent = join(import.meta.dirname, '../../models/mini-policy')
  const out = join(scratch, 'silent')
  const refused = start(out, '--strategy', 'best-of-n', '--set', 'n=1', '--scorer', silent)
  assert.is(refused.status, 1)
  assert.match(refused.stderr, /name the scoring family with --scoring: .*mm-prm/)
  const other = start(out, '--strategy', 'best-of-n', '--set', 'n=1', '--scorer', silent, '--scoring', 'mm-prn')
  assert.match(other.stderr, /no scoring family "mm-prn" \(did you mean "mm-prm"/)
  assert.not.ok(existsSync(out))
})

test.run()

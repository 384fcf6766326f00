/** `mm-prm eval` on look-alike benchmarks with the shipped PRM: results, resuming to the same bytes, bad files. */
import { appendFileSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluation } from '../../ts/index.ts'
import { startCli } from '../helpers/cli.ts'

const ROOT = join(import.meta.dirname, '../..')
const DATA = join(ROOT, 'test/golden/eval')
const PRM = join(ROOT, 'models/mini-prm')

const test = suite<{ folder: string }>('mm-prm eval')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'mm-prm-eval-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }))

const run = (...args: string[]) => startCli(['eval', '--prm', PRM, '--threads', '1', ...args]).ended
const results = (out: string) => evaluation.resultsSchema.parse(JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')))
const stepResults = (out: string) => results(out).tasks as Record<string, evaluation.StepTaskResults>
const copyOf = (name: string, folder: string) => {
  cpSync(join(DATA, name), join(folder, name), { recursive: true })
  return join(folder, name)
}

test('scores every task, leaves what it cannot score by name, and resumes to the same bytes', async ({ folder }) => {
  const out = join(folder, 'out')
  const data = join(folder, 'data')
  copyOf('prmbench', data)
  const pictures = join(copyOf('visualprocessbench', data), 'images')
  const [broken = ''] = readdirSync(pictures)
  writeFileSync(join(pictures, broken), 'no picture')
  const args = ['--task', 'prmbench,visualprocessbench', '--data', data, '--out', out, '--limit', '1000']
  const first = await run(...args)
  assert.is(first.code, 3, first.stderr)
  const tasks = stepResults(out)
  assert.equal(Object.keys(tasks), ['prmbench', 'visualprocessbench'])
  const unscored = tasks['visualprocessbench']?.unscored ?? []
  assert.ok(unscored.length > 0 && unscored.every(({ message }) => message.includes(broken)), unscored[0]?.message)
  assert.is(tasks['prmbench']?.counts.unscored, 0)
  assert.ok((tasks['prmbench']?.floors.alwaysRight ?? 0) > 0)
  for (const file of ['results.md', 'results.csv', 'results.html', 'costs.json']) assert.ok(existsSync(join(out, file)), file)

  const bytes = readFileSync(join(out, 'results.json'))
  const again = await run(...args)
  assert.is(again.code, 1)
  assert.match(again.stderr, /--resume/)

  // A kill in the middle: some lines are there, the last one in half.
  const [name = ''] = readdirSync(join(out, 'prmbench'))
  const scores = join(out, 'prmbench', name)
  writeFileSync(scores, readFileSync(scores, 'utf8').slice(0, 900))
  rmSync(join(out, 'results.json'))
  const resumed = await run(...args, '--resume')
  assert.is(resumed.code, 3, resumed.stderr)
  assert.equal(readFileSync(join(out, 'results.json')), bytes)
})

test('a changed row, a set that is not whole and missing columns are refused before any work', async ({ folder }) => {
  const data = copyOf('prmbench', folder)
  const file = join(data, 'prmtest_classified.jsonl')
  const out = join(folder, 'out')
  const args = ['--task', 'prmbench', '--data', data, '--out', out]
  const partial = await run(...args)
  assert.is(partial.code, 1)
  assert.match(partial.stderr, /has 19 rows, prmbench has 6216; --limit/)
  assert.is((await run(...args, '--limit', '2')).code, 0)
  writeFileSync(file, readFileSync(file, 'utf8').replace('gives 41', 'gives 43'))
  const changed = await run(...args, '--limit', '2', '--resume')
  assert.is(changed.code, 1)
  assert.match(changed.stderr, /was scored from another row/)
  appendFileSync(file, '{"idx": "x"}\n')
  const broken = await run('--task', 'prmbench', '--data', data, '--out', join(folder, 'other'), '--limit', '100')
  assert.match(broken.stderr, /prmtest_classified\.jsonl, row 20: /)
  writeFileSync(file, '{"question": "?"}\n')
  assert.match((await run(...args, '--limit', '1', '--resume')).stderr, /no column idx, original_process/)
})

test('unknown tasks and absent files are named', async ({ folder }) => {
  const typo = await run('--task', 'procesbench', '--data', DATA, '--out', folder)
  assert.match(typo.stderr, /no task "procesbench" \(did you mean "processbench"/)
  const absent = await run('--task', 'processbench', '--data', folder, '--out', join(folder, 'out'))
  assert.match(absent.stderr, /holds no processbench/)
})

test.run()

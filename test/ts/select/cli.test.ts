/** `mm-prm select` as a process: what it prints, what it says of lines that it cannot use. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startCli } from '../../helpers/cli.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-select-'))
test.after(() => rmSync(folder, { recursive: true }))
const INPUT = join(folder, 'scored.jsonl')

const GOOD = [
  { id: 'tie', labels: [0, 1, 1], scores: [[0.1, 0.2], [0.9, 0.8], [0.9, 0.8]], answers: ['1', '2', '2'] },
  { id: 'empty', labels: [1, 0, 0], scores: [[], [0, 1], [1, 1]], answers: ['3', null, '4'] },
] // biome-ignore format: a table

function select(lines: readonly unknown[], ...args: string[]) {
  writeFileSync(INPUT, lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'))
  return startCli(['select', '--input', INPUT, ...args]).ended
}

test('--json is one object, keyed by the names that were asked for; ties are all named, no steps come last', async () => {
  const { code, stdout } = await select(GOOD, '--aggregate', 'average,mean_odds,min', '--per-item', '--json')
  assert.is(code, 0)
  const { items, table, errors } = JSON.parse(stdout)
  assert.equal(items, [
    { id: 'tie', selected: { average: [1, 2], mean_odds: [1, 2], min: [1, 2] } },
    { id: 'empty', selected: { average: [2], mean_odds: [2], min: [2] } },
  ])
  const value = (name: string) => table.rows.find((row: { name: string }) => row.name === name).estimate.value
  assert.equal(['pass@1', 'average', 'mean_odds', 'min', 'oracle'].map(value), [0.5, 0.5, 0.5, 0.5, 1])
  assert.is(errors, undefined)
  assert.not.ok('items' in JSON.parse((await select(GOOD, '--json')).stdout), 'only where they are asked for')
})

test('null is a candidate that was not scored, as `score` writes it: behind all others, without a vote weight', async () => {
  const line = { id: 1, labels: [1, 0, 0], answers: ['3', '4', '4'], scores: [null, [0.1], [0.2]] }
  const { code, stdout, stderr } = await select([line], '--per-item', '--json', '--aggregate', 'mean')
  assert.is(code, 0, stderr)
  assert.equal(JSON.parse(stdout).items, [{ id: 1, selected: { mean: [2] } }])
})

test('for people a table of accuracies; of choices where labels are missing, and it says which', async () => {
  const labelled = await select(GOOD, '--aggregate', 'min')
  assert.match(labelled.stdout, /2 problems; accuracy in %[\s\S]*\nmin +50\.0 +0\.0 to 100\.0/)
  assert.not.match(labelled.stdout, /1 or 2/)
  assert.match((await select(GOOD, '--aggregate', 'min', '--per-item')).stdout, /tie +1 or 2\n[\s\S]*accuracy in %/)
  const mixed = await select([...GOOD, { id: 'new', scores: [[0.5]] }], '--aggregate', 'min')
  assert.is(mixed.code, 0)
  assert.match(mixed.stdout, /^id +min\ntie +1 or 2\nempty +2\nnew +0\n$/)
  assert.match(mixed.stderr, /no accuracies: 1 of 3 items have no labels, "new" first/)
})

test('lines that cannot be used are named with line and field, the others count, and the exit code is 3', async () => {
  const bad = [
    ['not json', /not valid JSON/],
    [{ id: 1, scores: [] }, /"scores" must be a list with one list per candidate/],
    [{ id: 1, scores: [[0.5], [1.5]] }, /"scores"\[1\] must be a list of numbers in \[0, 1\]/],
    [{ id: 1, scores: [[0.5], [0.6]], labels: [1] }, /"labels" must have one entry per candidate, 2/],
    [{ id: 1, scores: [[0.5]], labels: [2] }, /"labels"\[0\] must be 0 or 1/],
    [{ id: 1, scores: [[0.5]], answers: [3] }, /"answers"\[0\] must be a string or null/],
    [{ scores: [[0.5]] }, /"id" must be a string or a number/],
  ] as const
  const { code, stdout } = await select([...bad.map(([line]) => line), ...GOOD], '--json', '--per-item')
  assert.is(code, 3)
  const { items, errors } = JSON.parse(stdout)
  assert.is(items.length, GOOD.length)
  assert.is(errors.length, bad.length)
  for (const [i, [, message]] of bad.entries()) {
    assert.match(errors[i].error.message, message)
    assert.is(errors[i].error.line, i + 1)
  }
})

test('an unknown aggregation, a missing file and a folder end it before anything is read', async () => {
  assert.match((await select(GOOD, '--aggregate', 'mean_ods')).stderr, /no aggregation "mean_ods".*mean_odds/)
  const missing = await startCli(['select', '--input', join(folder, 'none.jsonl')]).ended
  assert.is(missing.code, 1)
  assert.match(missing.stderr, /none\.jsonl/)
  assert.match((await startCli(['select', '--input', folder]).ended).stderr, /not a file/)
})

test.run()

/** Next steps side by side: how rows of them are read, and what is refused before a model is opened. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import type { TrainRow } from '../../../ts/contracts/trainer.ts'
import { microBatches } from '../../../ts/train/batches.ts'
import { readDataset, runTraining, type TrainOptions } from '../../../ts/train/index.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-siblings-'))
test.after(() => rmSync(work, { recursive: true, force: true }))
let files = 0
function file(rows: readonly object[]): string {
  const path = join(work, `${files++}.jsonl`)
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}
const GROUP = { id: 'p#0', problemId: 'p', question: 'q?', answer: '1', prefix: ['a'], steps: ['b', 'c'], labels: [1, 0.5] }
const PATH = { question: 'q?', steps: ['a', 'b'], labels: [1, 0] }
const refused = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'was taken',
    (e: unknown) => (e as EngineError).message,
  )
const read = (row: object, task: 'prm' | 'policy' = 'prm') =>
  readDataset(file([PATH, row].slice(task === 'prm' ? 0 : 1)), task, 'error')

test('a group is one sample: its prefix, and next steps with a label each', async () => {
  const { samples } = await read(GROUP)
  const siblings = [
    { step: 'b', label: 1 },
    { step: 'c', label: 0.5 },
  ]
  assert.equal(samples[1], { id: 'p#0', group: 'p', question: 'q?', steps: ['a'], siblings })
  const first = await read({ ...GROUP, prefix: [], labels: [null, true] })
  assert.equal(first.samples[1]?.steps, [], 'first steps have an empty prefix')
  assert.equal(
    first.samples[1]?.siblings?.map(({ label }) => label),
    [null, 1],
  )
})

for (const [change, says] of [
  [{ steps: ['b'], labels: [1] }, /siblings, and one alone has none/],
  [{ steps: [], labels: [] }, /"steps" must be a list/],
  [{ steps: ['b', ' '] }, /steps\[1\] is empty/],
  [{ prefix: 'a' }, /"prefix" must be a list/],
  [{ prefix: ['a', ''] }, /prefix\[1\] is empty/],
  [{ labels: [1] }, /1 labels for 2 steps/],
  [{ labels: [1, 2] }, /label 1 is 2/],
  [{ labels: undefined }, /"labels" must be a list/],
  [{ weights: [1, 0.5] }, /"weights": siblings behind a "prefix" count alike/],
] as const) {
  test(`a bad group is named: ${says.source}`, async () => {
    assert.match(await refused(read({ ...GROUP, ...change })), says)
  })
}

test('a policy learns from no group', async () => {
  assert.match(await refused(read(GROUP, 'policy')), /"prefix": next steps side by side are for a PRM/)
})

const rank = (rows: readonly object[], more: Partial<TrainOptions> = {}) => {
  const options: TrainOptions = { task: 'prm', init: work, data: file(rows), out: join(work, 'out'), loss: 'rank', ...more }
  return refused(runTraining(options, () => assert.unreachable('opened') as never))
}

test('loss rank without siblings, or with none far enough apart', async () => {
  assert.match(
    await rank([PATH]),
    /\d\.jsonl: loss rank learns from next steps of one prefix, and no row has some.*--samples groups/,
  )
  const close = { ...GROUP, labels: [1, 0.95] }
  assert.match(await rank([PATH, close]), /no two siblings have labels that differ by 0\.1, its margin/)
  assert.match(await rank([PATH, GROUP], { rankMargin: 0.6 }), /differ by 0\.6, its margin/)
  const unknown = { ...GROUP, labels: [1, null] }
  assert.match(await rank([PATH, unknown]), /no two siblings/)
})

test('options that do not go together', async () => {
  for (const [more, says] of [
    [{ loss: 'bce', rankWeight: 1 }, /rankWeight needs loss "rank"/],
    [{ rankWeight: 0 }, /rankWeight/],
    [{ loss: 'hinge' as never }, /loss/],
    [{ head: { kind: 'value', heads: 3 } as never }, /head/],
    [{ head: { kind: 'ensemble', heads: 0 } }, /heads/],
    [{ head: 'tower' as never }, /head/],
    [{ task: 'policy', loss: undefined, head: 'value' }, /head is for task prm/],
  ] as const) {
    assert.match(await rank([PATH, GROUP], more as Partial<TrainOptions>), says)
  }
})

test('micro-batches count the tokens of all siblings', () => {
  const row = (group: string, length: number, siblings?: readonly TrainRow[]) =>
    ({ sample: { id: group, group }, tokens: new Int32Array(length), ...(siblings && { siblings }) }) as unknown as TrainRow
  const siblings = row('a', 4, [row('a', 4), row('a', 3), row('a', 3)])
  const ids = (most: number) => microBatches([siblings, row('b', 5)], most).map((part) => part.map(({ sample }) => sample.id))
  assert.equal(ids(15), [['a', 'b']])
  assert.equal(ids(14), [['a'], ['b']])
})
test.run()

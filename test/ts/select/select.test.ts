import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import {
  aggregate,
  estimate,
  majorityVote,
  passAtK,
  precisionByRate,
  selectBest,
  selectionTable,
  sweepN,
  weightedVote,
} from '../../../ts/select/index.ts'

const close = (actual: number | null, expected: number, message?: string) =>
  assert.ok(
    actual !== null && Math.abs(actual - expected) <= 1e-12 * Math.max(1, Math.abs(expected)),
    `${message ?? ''} ${actual} is not ${expected}`,
  )

test('logits and probabilities agree, and logits keep what probabilities lose', () => {
  const logits = [0.3, -1.2, 2.5]
  const p = logits.map((l) => 1 / (1 + Math.exp(-l)))
  for (const name of ['min', 'max', 'last', 'mean', 'product', 'sum_logprob', 'sum_logit', 'mean_odds']) {
    close(aggregate({ logits }, name), aggregate(p, name) as number, name)
  }
  assert.ok((aggregate({ logits: [60] }, 'sum_logit') as number) > (aggregate({ logits: [50] }, 'sum_logit') as number))
  assert.is(aggregate({ logits: [60] }, 'mean'), aggregate({ logits: [50] }, 'mean'))
})

test('mean_odds: a step that is surer than another never lowers its solution; the value keeps the constant for 1', () => {
  const choices: [number[][], number[]][] = [
    [[[0.9999999, 0.9999999], [1, 1]], [1]],
    [[[0.99999, 0.99999], [1, 1]], [1]],
    [[[1 - 2 ** -53, 0.5], [1, 0.5]], [1]],
    [[[1, 0.2], [1, 0.9], [1, 0.9]], [1, 2]],
    [[[1, 1, 0.1], [1, 0.99999, 0.99999], [0.999999, 0.999999, 0.999999]], [0]],
    [[[1], [1, 1], [1, 0.9]], [0, 1]],
    [[[1, 0], [], [0.99999, 0.99999]], [0]],
    [[[0.5, 0.5], [0.9, 0.2], [0, 0]], [1]],
  ] // biome-ignore format: a table
  for (const [scores, best] of choices) assert.equal(selectBest({ id: 1, scores }, 'mean_odds'), best, JSON.stringify(scores))
  assert.is(aggregate([1, 1], 'mean_odds'), 9999)
  close(aggregate([1, 0.5], 'mean_odds'), 5000)
  const logits = [{ logits: [60, 1] }, { logits: [50, 1] }, { logits: [60, 1] }]
  assert.equal(selectBest({ id: 1, scores: logits }, 'mean_odds'), [0, 2])
})

test('certain steps neither fail nor hide the others', () => {
  assert.is(aggregate([0, 0.5], 'sum_logprob'), Number.NEGATIVE_INFINITY)
  assert.ok(Number.isFinite(aggregate([0, 1], 'sum_logit')))
  assert.equal(
    selectBest(
      {
        id: 1,
        scores: [
          [1, 0.2],
          [1, 0.9],
        ],
      },
      'mean_odds',
    ),
    [1],
  )
  assert.equal(
    selectBest(
      {
        id: 1,
        scores: [
          [0.5, 0],
          [0.1, 0.1],
        ],
      },
      'sum_logprob',
    ),
    [1],
  )
})

test('candidates without steps rank last, ties are all named', () => {
  for (const name of ['sum_logprob', 'sum_logit', 'product', 'mean']) {
    assert.equal(selectBest({ id: 1, scores: [[], [0.01], []] }, name), [1], name)
  }
  assert.equal(selectBest({ id: 1, scores: [[], []] }, 'mean'), [0, 1])
  assert.equal(selectBest({ id: 1, scores: [[0.5], [0.5], [0.1]] }, 'min'), [0, 1])
  const rows = selectionTable([{ id: 1, scores: [[0.5], [0.5], [0.1]], labels: [1, 0, 1] }], ['min'])
  assert.is(rows.find((r) => r.name === 'min')?.estimate.value, 0.5)
})

test('votes', () => {
  assert.equal(majorityVote(['a', 'b', 'a', null]), [[0, 2]])
  assert.equal(majorityVote(['a', 'b', null]), [[0], [1]])
  assert.equal(majorityVote([null, null]), [])
  assert.equal(weightedVote(['a', 'b', 'a'], [0.2, 0.9, 0.3]), [[1]])
  assert.equal(weightedVote(['a', 'b'], [null, 0.1]), [[1]])
})

test('pass@k is the exact chance over all subsets', () => {
  const labels = [1, 0, 0, 1, 0]
  for (let k = 1; k <= 5; k++) {
    let hits = 0
    let all = 0
    for (let mask = 0; mask < 32; mask++) {
      const chosen = labels.filter((_, i) => mask & (1 << i))
      if (chosen.length !== k) continue
      all++
      if (chosen.includes(1)) hits++
    }
    close(passAtK(labels, k), hits / all)
  }
})

test('intervals contain the mean, shrink with more problems and follow the seed', () => {
  const few = estimate([0, 1, 1, 0, 1, 0, 1, 1])
  const many = estimate(Array.from({ length: 800 }, (_, i) => (i % 8 < 5 ? 1 : 0)))
  assert.ok(few.low <= few.value && few.value <= few.high)
  assert.ok(many.high - many.low < (few.high - few.low) / 5)
  assert.ok(Math.abs((many.high - many.low) / 2 - 1.96 * Math.sqrt((0.625 * 0.375) / 800)) < 0.005)
  assert.equal(estimate([0, 1, 1], 'x'), estimate([0, 1, 1], 'x'))
})

test('the sweep uses every block of candidates', () => {
  const item = { id: 1, scores: [[0.9], [0.1], [0.2], [0.8]], labels: [1, 0, 1, 0] }
  assert.equal(
    sweepN([item], 'min', [2, 4]).map((s) => s.estimate.value),
    [0.5, 1],
  )
  assert.throws(
    () => sweepN([item], 'min', [8]),
    (e: unknown) => e instanceof EngineError && /fewer than 8/.test(e.message),
  )
})

test('-std lowers every score by its spread, where one is told', () => {
  const scores = [
    [0.9, 0.8],
    [0.7, 0.75],
    [0.6, 0.6],
  ]
  const item = { id: 1, scores, std: [[0.5, 0.1], [0, 0.05], null], labels: [0, 1, 0] }
  assert.equal(
    ['min', 'min-std', 'mean-std'].map((name) => selectBest(item, name)),
    [[0], [1], [1]],
  )
  assert.equal(selectBest({ id: 1, scores }, 'min-std'), [0], 'where nothing is told of it nothing changes')
  const rows = selectionTable([item], ['min', 'min-std'])
  assert.equal(
    rows.filter(({ name }) => name.startsWith('min')).map(({ name, estimate: { value } }) => [name, value]),
    [
      ['min', 0],
      ['min-std', 1],
    ],
  )
  assert.equal(
    sweepN([item, item], 'min-std', [3]).map(({ estimate: { value } }) => value),
    [1],
  )
  assert.throws(() => selectBest(item, 'mim-std'), /no aggregation "mim"/)
})

test('precision of what is trusted, by how hard the problem is', () => {
  const item = (id: number, labels: number[], scores: number[][]) => ({ id, labels, scores })
  const rows = precisionByRate([
    item(1, [0, 0, 0, 1], [[0.9, 0.6], [0.5], [0.9, 0.4], []]),
    item(2, [1, 1, 1, 1], [[0.9], [0.1], [0.7], [0.8]]),
    item(3, [1, 0, 1, 1], [[0.9], [0.6], [0.2], [0.3]]),
  ])
  assert.equal(rows, [
    { upTo: 0.25, problems: 1, trusted: 2, precision: 0 },
    { upTo: 0.5, problems: 0, trusted: 0, precision: null },
    { upTo: 0.75, problems: 1, trusted: 2, precision: 0.5 },
    { upTo: 1, problems: 1, trusted: 3, precision: 1 },
  ])
})

test('an unknown aggregation is named with the nearest', () => {
  assert.throws(
    () => aggregate([0.5], 'mean_ods'),
    (e: unknown) => e instanceof EngineError && /mean_odds/.test(e.message),
  )
})

test.run()

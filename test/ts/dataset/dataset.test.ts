import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import type { Counts, ProblemTree, TreeNode } from '../../../ts/contracts/records.ts'
import type { FirstErrorJudge } from '../../../ts/contracts/verifier.ts'
import { buildDataset, FORMAT_NAMES, type LabelKind, markerLabels, processText, traverse } from '../../../ts/dataset/index.ts'

const counts = (correct: number, total: number): Counts => ({ correct, total, unparsed: 0, truncated: 0 })
const node = (step: string, c: Counts | null, ...children: TreeNode[]): TreeNode => ({
  steps: step === '' ? [] : [step],
  counts: c,
  firstError: false,
  terminal: false,
  visits: 0,
  rollouts: [],
  children,
})

const long = (text: string) => `${text} with a dozen words so that the path is not dropped as too short`
/** a(6/8) -> b(no evidence) -> c(0/8);  a -> d(8/8) */
const tree = (id: string): ProblemTree => ({
  problem: { id, question: 'How many?', answer: '3', image: 'a.png' },
  root: node(
    '',
    counts(4, 8),
    node(long('a'), counts(6, 8), node('b', null, node('c', counts(0, 8), node('never', counts(0, 1)))), node('d', counts(8, 8))),
  ),
})
const options = { label: 'soft', maxShortWords: 10, balance: 'none', afterError: 'cut', seed: 0 } as const

test('paths end at the first step without a right rollout, or at a right leaf', () => {
  const { samples } = traverse(tree('p'), options)
  assert.equal(
    samples.map((s) => [s.kind, s.steps.map((x) => x.label)]),
    [
      ['negative', [0.75, null, 0]],
      ['positive', [0.75, 1]],
    ],
  )
  assert.is(processText(samples[0]?.steps ?? []), `${long('a')}<prm>\n\nb\n\nc<prm>`)
  assert.equal(markerLabels(samples[0]?.steps ?? []), [0.75, 0])
})

test('behind the first error everything is wrong, where that is asked for', () => {
  const { samples } = traverse(tree('p'), { ...options, afterError: 'wrong' })
  const { problem, root } = tree('p')
  const [choice] = traverse({ problem: { ...problem, choices: ['12', '15'] }, root }, options).samples
  assert.is(choice?.problem.question, `${problem.question}\nChoices:\n(A) 12\n(B) 15`, 'as the policy was asked')
  const advantages = traverse(tree('p'), { ...options, afterError: 'wrong', label: 'advantage' }).samples
  assert.equal(markerLabels(advantages[0]?.steps ?? []), [0.625, 0.125, 0])
  assert.equal(
    samples.map((s) => [
      s.kind,
      s.steps.map((x) => [x.text.split(' ')[0], x.label, x.counts && [x.counts.correct, x.counts.total]]),
    ]),
    [
      ['negative', [['a', 0.75, [6, 8]], ['b', null, null], ['c', 0, [0, 8]], ['never', 0, [0, 1]]]],
      ['positive', [['a', 0.75, [6, 8]], ['d', 1, [8, 8]]]],
    ], // biome-ignore format: a table
  )
})

test('with a judge, only samples stay on which it finds the same first error', async () => {
  const one = async function* () {
    yield tree('p')
  }
  const build = (judge: FirstErrorJudge) =>
    buildDataset({ trees: one, out: mkdtempSync(join(tmpdir(), 'mm-prm-consensus-')), balance: 'none', maxShortWords: 0, judge })
  const isNegative = (steps: readonly string[]) => steps.at(-1) === 'c'
  const both = await build(async ({ id }, steps) => (id === 'p' && isNegative(steps) ? 2 : null))
  assert.equal([both.samples.train, both.dropped.contested], [2, 0])
  const unlabelled = await build(async (_, steps) => (isNegative(steps) ? 1 : null))
  assert.is(unlabelled.dropped.contested, 0, 'of b and c the search knows one count')
  const early = await build(async (_, steps) => (isNegative(steps) ? 0 : null))
  assert.equal([early.kinds, early.dropped.contested], [{ negative: 0, positive: 1 }, 1])
  const unread = await build(async (_, steps) => (isNegative(steps) ? 'unread' : null))
  assert.equal([unread.kinds, unread.dropped.contested, unread.dropped.unjudged], [{ negative: 0, positive: 1 }, 0, 1])
  const severe = await build(async () => 2)
  assert.equal([severe.kinds, severe.dropped.contested], [{ negative: 1, positive: 0 }, 1])
})

test('a judge that fails ends the build, and what it was asked beside that', async () => {
  let aborted = 0
  const judge: FirstErrorJudge = (_, steps, signal) =>
    steps.at(-1) === 'c'
      ? Promise.reject(new EngineError('ERR_ENGINE_POLICY', 'gone'))
      : new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new EngineError('ERR_ENGINE_ABORTED', `aborted ${++aborted}`)))
        })
  const error = await buildDataset({ trees: () => many(1), out: folder(), balance: 'none', judge }).catch((e: unknown) => e)
  assert.is((error as EngineError).message, 'gone')
  assert.is(aborted, 1)
})

test('paths of a problem are cut to a number, wrong and right ones alike', () => {
  const leaf = (name: string, correct: number) => node(long(name), counts(correct, 8))
  const root = node('', counts(4, 8), ...['a', 'b', 'c'].map((n) => leaf(n, 0)), ...['d', 'e', 'f'].map((n) => leaf(n, 8)))
  const of = (maxPaths?: number, balance: 'none' | 'negatives' = 'none') =>
    traverse({ problem: { id: 'p', question: 'q', answer: '1' }, root }, { ...options, balance, maxPaths })
  const kinds = ({ samples }: ReturnType<typeof of>) => samples.map((s) => s.kind[0]).join('')
  assert.equal([undefined, 1, 2, 4, 5, 9].map((n) => kinds(of(n))), ['nnnppp', 'n', 'np', 'nnpp', 'nnnpp', 'nnnppp']) // biome-ignore format: a table
  assert.is(of(4).dropped.surplusPaths, 2)
  assert.equal(of(4), of(4))
  const onlyRight = { id: 'p', question: 'q', answer: '1' }
  const right = traverse(
    { problem: onlyRight, root: node('', counts(4, 8), leaf('d', 8), leaf('e', 8)) },
    { ...options, maxPaths: 2 },
  )
  assert.is(right.samples.length, 2)
})

test('shared prefixes weigh once in all', () => {
  const { samples } = traverse(tree('p'), options)
  const total = samples.flatMap((s) => s.steps.filter((x) => x.text === long('a'))).reduce((sum, x) => sum + x.weight, 0)
  assert.is(total, 1)
})

test('label kinds', () => {
  const labels = (label: LabelKind) => traverse(tree('p'), { ...options, label }).samples.map((s) => markerLabels(s.steps))
  assert.equal(labels('hard'), [[1, 0], [1, 1]]) // biome-ignore format: short
  assert.equal(labels('advantage'), [[0.625, 0.125], [0.625, 0.625]]) // biome-ignore format: short
  assert.equal(labels('relative'), [[1, 0], [1, 1]]) // biome-ignore format: short
})

test('unsolved, always solved, unjudged and short paths are dropped and counted', () => {
  const of = (root: TreeNode) => traverse({ problem: { id: 'p', question: 'q', answer: '1' }, root }, options)
  assert.is(of(node('', counts(0, 8))).dropped.unsolved, 1)
  assert.is(of(node('', counts(8, 8))).dropped.alwaysSolved, 1)
  assert.is(of(node('', null)).samples.length, 0)
  assert.is(of(node('', counts(1, 2), node('short', counts(0, 2)))).dropped.short, 1)
  // Nothing but truncated rollouts: no evidence that the step is wrong.
  assert.is(of(node('', counts(1, 2), node(long('x'), { correct: 0, total: 0, unparsed: 0, truncated: 8 }))).samples.length, 0)
})

const folder = () => mkdtempSync(join(tmpdir(), 'mm-prm-dataset-'))
/** Groups are other samples: groups.test.ts. */
const PATH_FORMATS = FORMAT_NAMES.filter((name) => name !== 'groups')

async function* many(count: number): AsyncGenerator<ProblemTree> {
  for (let i = 0; i < count; i++) yield tree(`problem ${i}`)
}
const readRows = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

test('every format is written, hashed and split by problem, the same in every build', async () => {
  const built = [folder(), folder()]
  for (const out of built)
    await buildDataset({ trees: () => many(200), out, formats: PATH_FORMATS, validation: 0.1, test: 0.1, seed: 7 })
  const [a, b] = built.map((out) => JSON.parse(readFileSync(join(out, 'manifest.json'), 'utf8')))
  assert.equal(a, b)
  assert.is(a.files.length, 3 * PATH_FORMATS.length)
  const ids = ['train', 'validation', 'test'].map(
    (s) => new Set(readRows(join(built[0] as string, `${s}.steps.jsonl`)).map((r) => r.problemId)),
  )
  assert.is(
    ids.reduce((n, s) => n + s.size, 0),
    200,
    'no problem in two splits',
  )
  assert.ok((ids[1]?.size ?? 0) > 5 && (ids[2]?.size ?? 0) > 5)
  assert.is(
    a.labels.histogram.reduce((x: number, y: number) => x + y),
    a.labels.count,
  )
})

test('parquet holds what the JSON lines hold', async () => {
  const out = folder()
  await buildDataset({ trees: () => many(5), out, formats: ['steps', 'parquet'] })
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(join(out, 'train.parquet')) })
  const pick = (r: Record<string, unknown>) => ({ id: r['id'], steps: r['steps'], labels: r['labels'], image: r['image'] })
  assert.equal(rows.map(pick), readRows(join(out, 'train.steps.jsonl')).map(pick))
})

test('every format names all pictures of a problem, each where the question says', async () => {
  const pictured = async function* (question: string): AsyncGenerator<ProblemTree> {
    const { problem, root } = tree('p')
    const { image: _, ...rest } = problem
    yield { problem: { ...rest, question, images: ['/a.png', '/b.png'] }, root }
  }
  const build = async (question: string) => {
    const out = folder()
    await buildDataset({ trees: () => pictured(question), out, formats: PATH_FORMATS })
    const [parquet] = await parquetReadObjects({ file: await asyncBufferFromFile(join(out, 'train.parquet')) })
    const row = (format: string) => readRows(join(out, `train.${format}.jsonl`))[0]
    return { steps: row('steps'), trl: row('trl'), mmPrm: row('mm-prm'), swift: row('ms-swift'), parquet }
  }
  const placed = await build('Is <image2> more than <image1>?')
  for (const row of [placed.steps, placed.trl, placed.parquet]) assert.equal([row?.['image'] ?? undefined, row?.['images']], [undefined, ['/a.png', '/b.png']]) // biome-ignore format: one line
  assert.equal(placed.mmPrm.image, ['/b.png', '/a.png'])
  assert.match(placed.mmPrm.conversations[1].value, /^Question: Is <image> more than <image>\?\n/)
  assert.equal(placed.swift.images, ['/b.png', '/a.png'])
  assert.is(placed.swift.messages[0].content, 'Is <image> more than <image>?')
  const inFront = await build('Which is more?')
  assert.match(inFront.mmPrm.conversations[1].value, /^<image>\n<image>\nQuestion: Which is more\?\n/)
  assert.is(inFront.swift.messages[0].content, '<image><image>Which is more?')
})

test('efficiency keeps a share and counts the rest', async () => {
  const manifest = await buildDataset({ trees: () => many(100), out: folder(), balance: 'none', keep: 0.5 })
  assert.is(manifest.kinds.negative + manifest.kinds.positive + manifest.dropped.efficiency, 200)
  assert.ok(manifest.kinds.negative > manifest.kinds.positive, 'mixed samples score higher')
})

test('bad options name what is wrong', async () => {
  for (const [bad, message] of [
    [{ label: 'softt' }, /label/],
    [{ formats: ['trll'] }, /did you mean "trl"/],
    [{ lable: 'soft' }, /did you mean "label"/],
    [{ validation: 0.6, test: 0.5 }, /below 1/],
  ] as const) {
    try {
      await buildDataset({ trees: () => many(1), out: folder(), ...(bad as object) })
    } catch (error) {
      assert.instance(error, EngineError)
      assert.match((error as Error).message, message)
      continue
    }
    assert.unreachable()
  }
  const file = join(folder(), 'file')
  writeFileSync(file, '')
  const error = await buildDataset({ trees: () => many(1), out: join(file, 'out') }).catch((e: unknown) => e)
  assert.is((error as EngineError).code, 'ERR_ENGINE_STORE')
})

test('memory stays bounded over many trees', async () => {
  const before = process.memoryUsage().heapUsed
  const manifest = await buildDataset({ trees: () => many(20_000), out: folder(), balance: 'none' })
  assert.is(manifest.labels.count, 80_000)
  assert.ok(process.memoryUsage().heapUsed - before < 200e6)
})

test('what is no object of options is refused with what would be right', async () => {
  const wrong = [{ trees: [], out: folder() }, { trees: () => many(1) }]
  for (const options of wrong) {
    const error = await buildDataset(options as never).catch((e: unknown) => e)
    assert.is((error as EngineError).code, 'ERR_ENGINE_INVALID_ARGUMENT')
    assert.match((error as Error).message, /takes \{ trees, out, … \}/)
  }
})

test('without a tree nothing is built, and what is there stays', async () => {
  const out = folder()
  await buildDataset({ trees: () => many(3), out })
  const before = readFileSync(join(out, 'manifest.json'), 'utf8')
  const error = await buildDataset({ trees: () => many(0), out }).catch((e: unknown) => e)
  assert.is((error as EngineError).code, 'ERR_ENGINE_INVALID_ARGUMENT')
  assert.match((error as Error).message, /no search tree.*strategy omega/)
  assert.is(readFileSync(join(out, 'manifest.json'), 'utf8'), before)
})

test('a build replaces an earlier one, and nothing else that lies in its folder', async () => {
  const out = folder()
  await buildDataset({ trees: () => many(20), out, validation: 0.5 })
  writeFileSync(join(out, 'mine.jsonl'), '')
  await buildDataset({ trees: () => many(20), out })
  assert.equal(readdirSync(out).sort(), ['manifest.json', 'mine.jsonl', 'train.jsonl'])
  const foreign = folder()
  writeFileSync(join(foreign, 'manifest.json'), '{"runId":"x"}')
  const error = await buildDataset({ trees: () => many(1), out: foreign }).catch((e: unknown) => e)
  assert.is((error as EngineError).code, 'ERR_ENGINE_STORE')
  assert.match((error as Error).message, /manifest\.json is not of a data set/)
  assert.equal(readdirSync(foreign), ['manifest.json'])
})

test.run()

/** `mm-prm train` as a process: data of `mm-prm dataset`, of the reference and of a generator; recipes; exit codes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FORMAT_NAMES, findFormat } from '../../ts/dataset/formats/index.ts'
import { stepsRow } from '../../ts/dataset/formats/steps.ts'
import type { Sample } from '../../ts/dataset/sample.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { readJson } from '../helpers/golden.ts'
import {
  metricsOf,
  PICTURE,
  policyRows,
  prmRows,
  QUICK,
  tinyCheckpoint,
  train,
  trainCli,
  weightsOf,
  workFolder,
  writeRows,
} from '../helpers/training.ts'

const work = workFolder()
const init = await tinyCheckpoint(join(work, 'init'), { withMarker: false })
const recipe = join(work, 'recipe.json')
const { learningRate, batchSize, threads, ...RECIPE } = QUICK
writeFileSync(recipe, JSON.stringify({ ...RECIPE, batchSize: 32, learningRate: 1e-6, clip: 0.5 }))

/** Samples of a data set, so that its own writers make the rows. `known`: whether every step has a label. */
const samples = (known: boolean): Sample[] =>
  prmRows(6).map((row, i) => {
    const { id, problemId, question, steps, labels } = row as {
      id: string
      problemId: string
      question: string
      steps: string[]
      labels: (number | null)[]
    }
    return {
      id,
      problem: { id: problemId, question, answer: '1', image: PICTURE },
      kind: i % 2 ? 'negative' : 'positive',
      steps: steps.map((text, s) => ({
        text,
        label: labels[s] === null && known ? 0.5 : (labels[s] as number | null),
        counts: { correct: 3, total: 4, unparsed: 0, truncated: 0 },
        weight: known || s > 0 ? 1 : 0.5,
      })),
    } as Sample
  })
const ROWS = samples(false).map(stepsRow)
const rows = writeRows(join(work, 'steps.jsonl'), ROWS)

const call = (out: string, data: string, more: readonly string[] = []) =>
  trainCli(['--task', 'prm', '--init', init, '--data', data, '--out', out, ...more])

test('a PRM from rows of `mm-prm dataset`: the flags override the recipe, and both count', async () => {
  const out = join(work, 'prm')
  const flags = [
    '--recipe',
    recipe,
    '--learning-rate',
    '1e-3',
    '--batch-size',
    '4',
    '--epochs',
    '2',
    '--threads',
    '1',
    '--seed',
    '5',
  ]
  const { status, stdout, stderr } = call(out, rows, [...flags, '--json'])
  assert.is(status, 0, stderr)
  assert.match(stderr, /training .*step \d of 6, loss .*accuracy .*samples\/s.*tokens\/s[\s\S]*6 steps, loss /)
  const result = JSON.parse(stdout)
  assert.equal([result.steps, result.numSkipped, result.stoppedEarly, result.skippedLines], [6, 0, false, []])
  const lines = metricsOf(out)
  assert.equal(
    lines.map((line) => line['step']),
    [1, 2, 3, 4, 5, 6],
  )
  assert.is(lines.at(-1)?.['loss'], result.loss)
  assert.ok(
    lines.every((line) => (line['numRows'] as number) < (line['numTokens'] as number)),
    'paths of a problem are one tree',
  )

  const same = join(work, 'prm-api')
  await train({ task: 'prm', init, data: rows, out: same, ...QUICK, clip: 0.5, epochs: 2, seed: 5 })
  assert.ok(weightsOf(out).equals(weightsOf(same)), 'command and API are one thing')
  const { training } = readJson(join(out, 'mm-prm.json'))
  assert.equal([training.clip, training.learningRate, training.batchSize, training.seed], [0.5, 1e-3, 4, 5])
  await using engine = await Engine.open({ model: out, cpu: { threads: 1 } })
  assert.is((await engine.scoreSteps({ question: 'q', steps: ['a', 'b'] })).length, 2)
})

test('every format that `mm-prm dataset` writes is the same data', async () => {
  const weights = new Map<string, Buffer>()
  // Sets of siblings and of transitions are for losses that `train` has not.
  for (const format of FORMAT_NAMES.filter((name) => !['groups', 'transitions'].includes(name))) {
    const writer = await findFormat(format)(join(work, `as-${format}`))
    for (const sample of samples(true)) await writer.write(sample)
    const { file } = await writer.close()
    const out = join(work, `trained-on-${format}`)
    const { status, stderr } = call(out, file, [
      '--recipe',
      recipe,
      '--learning-rate',
      '1e-3',
      '--threads',
      '1',
      '--max-steps',
      '2',
    ])
    assert.is(status, 0, `${format}: ${stderr}`)
    weights.set(format, weightsOf(out))
  }
  for (const [format, bytes] of weights) assert.ok(bytes.equals(weights.get('steps') as Buffer), format)
  assert.equal([...weights.keys()], ['steps', 'mm-prm', 'trl', 'ms-swift', 'parquet'])
})

test('a policy from rows with steps and answer; evaluation after every epoch; a table as result', () => {
  const data = writeRows(join(work, 'policy.jsonl'), policyRows(8, { image: PICTURE }))
  const evalData = writeRows(join(work, 'eval.jsonl'), policyRows(12, { image: PICTURE }).slice(8))
  const out = join(work, 'policy')
  const flags = ['--recipe', recipe, '--learning-rate', '1e-3', '--batch-size', '4', '--epochs', '2', '--eval-data', evalData]
  const { status, stdout, stderr } = trainCli(['--task', 'policy', '--init', init, '--data', data, '--out', out, ...flags])
  assert.is(status, 0, stderr)
  assert.match(stdout, /^steps +4$/m)
  assert.match(stdout, /^best ?eval ?loss +\d/im)
  assert.equal(
    metricsOf(out).flatMap((line) => ('evalLoss' in line ? [line['step']] : [])),
    [2, 4],
  )
  assert.match(stderr, /4 steps, loss .*, best eval \d.* at step \d/)
})

test('lines that were skipped: exit code 3, each with its reason', () => {
  const data = writeRows(join(work, 'some-bad.jsonl'), [...ROWS, '{', { ...ROWS[0], labels: [2, 0] }])
  const path = join(work, 'skip.json')
  writeFileSync(path, JSON.stringify({ ...RECIPE, badLines: 'skip' }))
  const { status, stderr, stdout } = call(join(work, 'skipped'), data, ['--recipe', path, '--json'])
  assert.is(status, 3, stderr)
  assert.match(stderr, /line 13 was skipped: .*JSON/)
  assert.match(stderr, /line 14 was skipped: label 0 is 2/)
  assert.equal(
    JSON.parse(stdout).skippedLines.map((s: { line: number }) => s.line),
    [13, 14],
  )
})

const USAGE: [flags: string[], says: RegExp][] = [
  [['--learning-rate', 'NaN'], /--learning-rate must be a number above 0, got "NaN"/],
  [['--learning-rate', '0'], /--learning-rate/],
  [['--epochs', '-1'], /--epochs/],
  [['--epochs', ''], /--epochs/],
  [['--batch-size', '2.5'], /--batch-size must be a positive whole number/],
  [['--seed', '-3'], /--seed/],
  [['--max-steps', '0'], /--max-steps/],
  [['--threads', 'all'], /--threads/],
  [['--learningrate', '1'], /unknown option --learningrate \(did you mean "learning-rate"\?\)/],
  [['more'], /unexpected argument "more"/],
]
for (const [flags, says] of USAGE) {
  test(`wrong usage is exit code 2: ${flags.join(' ')}`, () => {
    const out = join(work, 'usage')
    const { status, stderr } = call(out, rows, flags)
    assert.is(status, 2, stderr)
    assert.match(stderr, says)
    assert.not.ok(existsSync(out))
  })
}

test('options that are missing, or name nothing', () => {
  for (const missing of ['--task', '--init', '--data', '--out']) {
    const all = ['--task', 'prm', '--init', init, '--data', rows, '--out', join(work, 'missing')]
    all.splice(all.indexOf(missing), 2)
    const { status, stderr } = trainCli(all)
    assert.is(status, 2)
    assert.match(stderr, new RegExp(`${missing} is required|--task`))
  }
  const bad = trainCli(['--task', 'reward', '--init', init, '--data', rows, '--out', join(work, 'x')])
  assert.is(bad.status, 2)
  assert.match(bad.stderr, /--task must be one of policy, prm/)
})

test('what is wrong with files is exit code 1', () => {
  const broken = join(work, 'broken.json')
  writeFileSync(broken, '{"epochs": ')
  const list = join(work, 'list.json')
  writeFileSync(list, '[]')
  const unknown = join(work, 'unknown.json')
  writeFileSync(unknown, '{"epoch": 2}')
  const negative = join(work, 'negative.json')
  writeFileSync(negative, '{"epochs": -2}')
  const cases: [string[], RegExp][] = [
    [['--recipe', join(work, 'none.json')], /none\.json.*ENOENT|no such file/],
    [['--recipe', broken], /recipe .*broken\.json: .*JSON/],
    [['--recipe', list], /a JSON object of options is expected/],
    [['--recipe', unknown], /unknown option "epoch" \(did you mean "epochs"\?\)/],
    [['--recipe', negative], /epochs: .*>0/],
    [['--eval-data', join(work, 'none.jsonl')], /none\.jsonl: no such file/],
  ]
  for (const [flags, says] of cases) {
    const { status, stderr } = call(join(work, 'files'), rows, flags)
    assert.is(status, 1, stderr)
    assert.match(stderr, says)
    assert.match(stderr, /\[ERR_ENGINE_INVALID_ARGUMENT\]/)
  }
  const missing = call(join(work, 'files'), join(work, 'none.jsonl'))
  assert.is(missing.status, 1)
  assert.match(missing.stderr, /none\.jsonl: no such file/)
  assert.not.ok(existsSync(join(work, 'files')))
})

test('--help names every option', () => {
  const { status, stdout } = trainCli(['--help'])
  assert.is(status, 0)
  const source = readFileSync(join(import.meta.dirname, '../../ts/cli/train.ts'), 'utf8')
  const options = /const OPTIONS = \{([\s\S]*?)\n\}/.exec(source)?.[1] ?? ''
  const names = [...options.matchAll(/^ {2}'?([a-z-]+)'?:/gm)].map((match) => match[1])
  assert.ok(names.length > 10)
  for (const name of names) assert.ok(stdout.includes(`--${name}`), `--${name}`)
})
test.run()

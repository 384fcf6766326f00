/** Several data files in one run: shares, what is told of them, resumed bits, and whose fault an error is. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readJson } from '../helpers/golden.ts'
import {
  failure,
  metricsOf,
  policyRows,
  prmRows,
  tinyCheckpoint,
  train,
  trainCli,
  weightsOf,
  workFolder,
  writeRows,
} from '../helpers/training.ts'

const work = workFolder()
const init = await tinyCheckpoint(join(work, 'init'))
const [a, b] = [
  writeRows(join(work, 'a.jsonl'), prmRows(6)),
  writeRows(join(work, 'b.jsonl'), prmRows(12, { problemId: undefined })),
]
const MIXED = { task: 'prm', init, batchSize: 6, checkpointEvery: 2 } as const

test('metrics and record tell how many samples came from which file', async () => {
  const out = join(work, 'mixed')
  const result = await train({ ...MIXED, data: [{ data: a, weight: 2 }, b], out })
  const steps = metricsOf(out)
  assert.is(steps.length, 6)
  for (const { bySet } of steps) assert.equal(bySet, { 'a.jsonl': 4, 'b.jsonl': 2 })
  const sets = [
    { name: 'a.jsonl', weight: 2, size: 12, samples: 24 },
    { name: 'b.jsonl', weight: 1, size: 24, samples: 12 },
  ]
  assert.equal(result.sets, sets)
  assert.equal(readJson(join(out, 'mm-prm.json')).training.sets, sets)
})

test('records hold no folder of the data: files of one name are numbered, lines left out go by it too', async () => {
  const elsewhere = join(work, 'elsewhere')
  mkdirSync(elsewhere)
  const same = writeRows(join(elsewhere, 'a.jsonl'), [...prmRows(3), { question: 'q', steps: ['s'], labels: [2] }])
  const out = join(work, 'numbered')
  const result = await train({ ...MIXED, data: [a, same], out, maxSteps: 1, badLines: 'skip' })
  assert.equal(Object.keys(metricsOf(out)[0]?.['bySet'] as object), ['a.jsonl', 'a.jsonl (2)'])
  assert.is(result.skippedLines[0]?.file, same, 'who runs it is told where')
  const { training } = readJson(join(out, 'mm-prm.json'))
  assert.equal([training.sets[1].name, training.skippedLines[0].file], ['a.jsonl (2)', 'a.jsonl'])
  assert.not(JSON.stringify({ ...training, init: '' }).includes(work))
})

test('stopped and resumed: the same bits; another weight or file is another run', async () => {
  const data = [
    { data: a, weight: 2 },
    { data: b, weight: 1 },
  ]
  const options = { ...MIXED, data, epochs: 2 }
  const whole = join(work, 'whole')
  await train({ ...options, out: whole })
  const out = join(work, 'stopped')
  const aborter = new AbortController()
  const onProgress = ({ step }: { step: number }) => step === 7 && aborter.abort()
  await failure(train({ ...options, out, signal: aborter.signal, onProgress }), 'ABORTED')
  const resumed = { ...options, out, resume: true }
  await failure(train({ ...resumed, data: [{ data: a, weight: 3 }, b] }), 'INVALID_ARGUMENT', /fingerprint was "2 x /)
  await failure(train({ ...resumed, data: a }), 'INVALID_ARGUMENT', /fingerprint was/)
  const { sets } = await train({ ...resumed, threads: 2 })
  assert.ok(weightsOf(out).equals(weightsOf(whole)))
  assert.equal(metricsOf(out), metricsOf(whole))
  assert.equal(
    sets?.map(({ samples }) => samples),
    [48, 24],
  )
})

test('errors name the file', async () => {
  const out = join(work, 'refused')
  const bad = writeRows(join(work, 'bad.jsonl'), [...prmRows(1), { question: 'q', steps: ['s'], labels: [2] }])
  await failure(train({ ...MIXED, data: [a, bad], out }), 'INVALID_ARGUMENT', /bad\.jsonl: line 3: label 0 is 2/)
  await failure(train({ ...MIXED, data: [a, join(work, 'none.jsonl')], out }), 'INVALID_ARGUMENT', /none\.jsonl: no such file/)
  await failure(train({ ...MIXED, data: [a, a], out }), 'INVALID_ARGUMENT', /a\.jsonl is named twice/)
  await failure(
    train({ ...MIXED, data: [a, { data: b, weight: 1e-6 }], out }),
    'INVALID_ARGUMENT',
    /weight of 0\.000001 gives no sample of .*b\.jsonl/,
  )
  await failure(train({ ...MIXED, data: [], out }), 'INVALID_ARGUMENT', /data/)
  const long = writeRows(join(work, 'long.jsonl'), [
    { id: 'L', question: 'q '.repeat(3000), steps: ['s'], labels: [1] },
    ...prmRows(2),
  ])
  const { skippedSamples } = await train({ ...MIXED, data: [a, long], out: join(work, 'long') })
  assert.is(skippedSamples[0]?.id, `${long}: L`)
})

test('right steps in one file and wrong ones in the other are enough; in a file alone they are not', async () => {
  const only = (label: number) => prmRows(4).map((row, i) => ({ ...row, id: `${label}-${i}`, labels: [label, label] }))
  const [right, wrong] = [writeRows(join(work, 'right.jsonl'), only(1)), writeRows(join(work, 'wrong.jsonl'), only(0))]
  await failure(
    train({ ...MIXED, data: right, out: join(work, 'right') }),
    'INVALID_ARGUMENT',
    /right\.jsonl: all 16 labels are 1/,
  )
  await failure(train({ ...MIXED, data: [right], out: join(work, 'right') }), 'INVALID_ARGUMENT', /all 16 labels are 1/)
  await train({ ...MIXED, data: [right, wrong], out: join(work, 'both'), maxSteps: 1 })
})

test('from the command line: --data FILE=WEIGHT', () => {
  const rows = [
    writeRows(join(work, 'p.jsonl'), policyRows(6)),
    writeRows(join(work, 'q=2.jsonl'), policyRows(6, { id: undefined })),
  ]
  const base = ['--task', 'policy', '--init', init, '--threads', '1', '--max-steps', '2', '--batch-size', '4', '--json']
  const run = (out: string, ...data: string[]) =>
    trainCli([...base, '--out', join(work, out), ...data.flatMap((d) => ['--data', d])])
  const { status, stdout, stderr } = run('cli', `${rows[0]}=3`, rows[1] as string)
  assert.is(status, 0, stderr)
  assert.equal(
    JSON.parse(stdout).sets.map((set: { samples: number }) => set.samples),
    [6, 2],
  )
  const one = run('one', `${rows[0]}=3`)
  assert.is(one.status, 0, one.stderr)
  assert.not('sets' in JSON.parse(one.stdout))
  for (const weight of ['0', '-1', 'much', '']) {
    const refused = run('none', `${rows[0]}=${weight}`)
    assert.is(refused.status, 2)
    assert.match(refused.stderr, /is no weight: a number above 0/)
  }
})

test.run()

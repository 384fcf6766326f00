/**
 * Preference training: the loss on whole models by finite differences, packed and apart; runs from the files that people have,
 * with pictures and adapters, killed and resumed; and what the cached reference must not change.
 */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../ts/contracts/random.ts'
import type { ChatTurn } from '../../ts/contracts/trainer.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative, type NativeTrainBatch, type NativeTrainer } from '../../ts/engine/native.ts'
import { openTrainable } from '../../ts/engine/trainable.ts'
import { checkGradients } from '../helpers/finite-differences.ts'
import { readJson, relativeDistance } from '../helpers/golden.ts'
import {
  failure,
  metricsOf,
  PICTURE,
  READING,
  randomPicture,
  SEEING,
  tinyCheckpoint,
  train,
  trainCli,
  weightsOf,
  workFolder,
  writeRows,
} from '../helpers/training.ts'

const native = loadNative()
const work = workFolder()
const init = await tinyCheckpoint(join(work, 'init'))
const LORA = { rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] }
const IMAGE_TOKEN = 5

function open(model: string, isa: string, lora = false): Promise<NativeTrainer> {
  const all = { trainVision: true, trainProjector: true, trainLanguage: true, recompute: false, newTokens: new Int32Array() }
  const adapters = { loraRank: lora ? 3 : 0, loraAlpha: 6, loraTargets: lora ? ['q_proj', 'down_proj'] : [], seed: 3n }
  return native.openTrainer({ model, compute: 'f32', isa, threads: 2, ...all, ...adapters })
}

/** Two pairs: of the first the answers begin alike, of the second they do not; of the first question with a picture. */
async function batch(trainer: NativeTrainer, packed = true, preference = PREFERENCE): Promise<NativeTrainBatch> {
  const { tokensPerTile, imageSize } = trainer.info()
  const random = seededRandom('pairs')
  const ids = (n: number) => Array.from({ length: n }, () => 10 + Math.floor(random() * 500))
  const picture = Array.from({ length: tokensPerTile }, () => IMAGE_TOKEN)
  const begun = ids(2)
  const prompts = [[...picture, ...ids(5)], ids(7)]
  const answers = [
    [
      [...begun, ...ids(4)],
      [...begun, ...ids(6)],
    ],
    [ids(3), ids(5)],
  ]
  const samples = answers.flatMap((pair, p) =>
    pair.map((answer, k) => {
      const prompt = prompts[p] as number[]
      const tokens = Int32Array.from([...prompt, ...answer])
      return {
        tokens,
        images: p === 0 && tokensPerTile > 0 ? Int32Array.of(0) : new Int32Array(),
        group: packed ? p : 2 * p + k,
        tokenWeights: Float32Array.from(tokens, (_, i) => (i < prompt.length ? 0 : 1)),
        markers: new Int32Array(),
        labels: new Float32Array(),
        markerWeights: new Float32Array(),
        reference: -6.4 * answer.length + k / 2,
      }
    }),
  )
  const images = tokensPerTile > 0 ? [await randomPicture(imageSize, 'picture')] : []
  return { task: 'pairs', samples, images, imageToken: IMAGE_TOKEN, preference }
}
const PREFERENCE = { beta: 0.8, labelSmoothing: 0.1, chosenWeight: 0.3 }

for (const [name, model, lora] of [
  ['text', READING, false],
  ['pictures', SEEING, false],
  ['adapters', READING, true],
] as const) {
  test(`${name}: the gradient of every tensor`, async () => {
    const trainer = await open(model, 'reference', lora)
    if (lora) {
      // Where they begin, the gradient of A is zero.
      for (const tensor of trainer.tensorNames().filter((t) => t.includes('lora_B'))) {
        const random = seededRandom(tensor)
        const size = (await trainer.tensor(tensor, 'value')).length
        await trainer.setTensor(
          tensor,
          Float32Array.from({ length: size }, () => 0.1 * (random() - 0.5)),
        )
      }
    }
    await checkGradients(trainer, await batch(trainer), (tensor) => !lora || tensor.includes('lora_'))
    await trainer.close()
  })
}

test('the loss is the formula of the log-probabilities, which evaluation tells too; packed answers equal separate ones', async () => {
  for (const isa of native.probe().isas) {
    const trainer = await open(READING, isa)
    const run = async (packed: boolean) => {
      await trainer.clearGradients()
      const result = await trainer.accumulate(await batch(trainer, packed), 1)
      const all: number[] = []
      for (const name of trainer.tensorNames()) for (const g of await trainer.tensor(name, 'gradient')) all.push(g)
      return { result, all }
    }
    const [apart, tree] = [await run(false), await run(true)]
    assert.ok(tree.result.numRows < apart.result.numRows, 'prompts are computed once')
    assert.ok(Math.abs(tree.result.loss - apart.result.loss) < 1e-6 * apart.result.loss, `${isa}: loss`)
    const off = relativeDistance(tree.all, apart.all)
    assert.ok(off < 3e-6, `${isa}: gradients differ by ${off}`)

    const data = await batch(trainer)
    const { logprobs = [], loss, weight, numTerms } = await trainer.evaluate(data)
    assert.equal([weight, numTerms, logprobs.length], [2, 2, 4])
    const { beta, labelSmoothing, chosenWeight } = PREFERENCE
    let expected = 0
    for (const p of [0, 1]) {
      const [c, r] = [0, 1].map((k) => (logprobs[2 * p + k] as number) - (data.samples[2 * p + k]?.reference as number))
      const margin = beta * ((c as number) - (r as number))
      const length = (data.samples[2 * p] as NativeTrainBatch['samples'][number]).tokenWeights.reduce((a, b) => a + b, 0)
      expected += (1 - labelSmoothing) * Math.log1p(Math.exp(-margin)) + labelSmoothing * Math.log1p(Math.exp(margin))
      expected -= (chosenWeight * (logprobs[2 * p] as number)) / length
    }
    assert.ok(Math.abs(loss - expected) < 1e-9, `${loss}, not ${expected}`)
    await trainer.close()
  }
})

test('a batch that holds no pairs is refused with its reason', async () => {
  const trainer = await open(READING, '')
  const good = await batch(trainer)
  const [first, second] = good.samples as [NativeTrainBatch['samples'][number], NativeTrainBatch['samples'][number]]
  const silent = { ...second, tokenWeights: new Float32Array(second.tokens.length) }
  const bads: [NativeTrainBatch, RegExp][] = [
    [{ ...good, samples: [first] }, /odd number of samples/],
    [{ ...good, samples: [first, silent] }, /sample 1 of the batch predicts no token/],
    [{ ...good, samples: [first, { ...second, reference: Number.NaN }] }, /its reference must be finite/],
    [{ ...good, preference: { ...PREFERENCE, beta: 0 } }, /beta .* must be above 0/],
    [{ ...good, preference: { ...PREFERENCE, labelSmoothing: 0.5 } }, /label smoothing/],
  ]
  for (const [bad, says] of bads) await failure(trainer.evaluate(bad), 'INVALID_ARGUMENT', says)
  await trainer.close()
})

/** As `mm-prm teach` writes them. */
const taughtPairs = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    id: `p${i}`,
    prompt: [
      { role: 'system', content: 'You are a helpful assistant.' },
      { role: 'user', content: `Is ${i} + 1 = ${i + 1 + (i % 2)}?` },
    ],
    chosen: [{ role: 'assistant', content: `I add: ${i} + 1 = ${i + 1}. Verification: ${i % 2 ? 'No' : 'Yes'}` }],
    rejected: [{ role: 'assistant', content: `I guess so. Verification: ${i % 2 ? 'Yes' : 'No'}` }],
  }))

/** Solutions in steps, with a picture. */
const solvedPairs = (count: number, more: object = { image: PICTURE }) =>
  Array.from({ length: count }, (_, i) => ({
    id: `s${i}`,
    question: `What is ${i} plus ${i + 1}?`,
    ...more,
    chosen: { steps: [`${i} + ${i + 1} = ${2 * i + 1}.`], answer: String(2 * i + 1) },
    rejected: { steps: ['I guess.', `It may be ${i}.`], answer: String(i) },
  }))

const PAIRED = { task: 'policy', loss: 'dpo', init, batchSize: 4, learningRate: 1e-3, schedule: 'constant' } as const
const learning = (out: string) => metricsOf(out).filter((line) => 'loss' in line) as Record<string, number>[]
const files = {
  taught: writeRows(join(work, 'taught.jsonl'), taughtPairs(16)),
  solved: writeRows(join(work, 'solved.jsonl'), solvedPairs(12)),
}

for (const [name, data, more] of [
  ['taught pairs', files.taught, {}],
  ['solutions with a picture', files.solved, { freeze: [] }],
  ['adapters', files.taught, { lora: LORA, learningRate: 1e-2 }],
] as const) {
  test(`${name}: begins at log 2 and no margin, and learns what is preferred`, async () => {
    const out = join(work, name.replaceAll(' ', '-'))
    await train({ ...PAIRED, ...more, data, out, epochs: 8 })
    const steps = learning(out)
    const [first, last] = [steps[0], steps.at(-1)] as [Record<string, number>, Record<string, number>]
    assert.is(first['margin'], 0, 'the model that it departs from is the one that it begins as, to the bit')
    assert.ok(Math.abs((first['loss'] as number) - Math.LN2) < 1e-12, `begins at ${first['loss']}`)
    assert.ok((last['loss'] as number) < 0.5, `ends at ${last['loss']}`)
    assert.ok((last['margin'] as number) > 0.5)
    assert.is(last['accuracy'], 1)
    for (const { margin, chosenReward, rejectedReward } of steps)
      assert.ok(Math.abs((margin as number) - ((chosenReward as number) - (rejectedReward as number))) < 1e-9)
  })
}

test('held-out pairs are evaluated by their own reference; the record names the loss', async () => {
  const out = join(work, 'evaluated')
  const evalData = writeRows(join(work, 'eval.jsonl'), taughtPairs(20).slice(16))
  await train({ ...PAIRED, data: files.taught, evalData, out, epochs: 3, beta: 0.5, labelSmoothing: 0.1, chosenWeight: 0.2 })
  const evaluations = metricsOf(out).filter((line) => 'evalLoss' in line)
  assert.is(evaluations.length, 3)
  for (const { evalMargin, evalTerms } of evaluations) {
    assert.ok(Number.isFinite(evalMargin))
    assert.is(evalTerms, 4)
  }
  const { training } = readJson(join(out, 'mm-prm.json'))
  assert.equal([training.objective, training.beta, training.loss], ['dpo', 0.5, learning(out).at(-1)?.['loss']])
})

test('resumed at any step, with the reference whole, damaged or gone: the same bits', async () => {
  const options = { ...PAIRED, data: files.taught, epochs: 2, checkpointEvery: 3, evalFraction: 0.2 } as const
  const whole = join(work, 'whole')
  await train({ ...options, out: whole })
  const kept = readFileSync(join(whole, 'reference.jsonl'), 'utf8')
  assert.is(kept.trim().split('\n').length, 1 + 16)
  for (const [name, spoil] of Object.entries({
    whole: () => {},
    gone: (path: string) => rmSync(path),
    cut: (path: string) => writeFileSync(path, kept.slice(0, -20)),
    altered: (path: string) => writeFileSync(path, kept.replace(/,-(\d)/, ',-9$1')),
    foreign: (path: string) => writeFileSync(path, `{}\n${kept}`),
    appended: (path: string) => appendFileSync(path, '["0",'),
  })) {
    const out = join(work, `resumed-${name}`)
    const aborter = new AbortController()
    const stopped = train({
      ...options,
      out,
      signal: aborter.signal,
      onProgress: ({ step }) => step === 5 && aborter.abort(),
    })
    await failure(stopped, 'ABORTED')
    spoil(join(out, 'reference.jsonl'))
    await train({ ...options, out, resume: true, threads: 2 })
    assert.ok(weightsOf(out).equals(weightsOf(whole)), `${name}: weights`)
    assert.equal(metricsOf(out), metricsOf(whole), name)
    assert.is(
      readFileSync(join(out, 'reference.jsonl'), 'utf8').split('\n').slice(1).sort().join('\n').trim(),
      kept.split('\n').slice(1).sort().join('\n').trim(),
      name,
    )
  }
})

test('stopped before its first step: what the untrained model said is not asked again', async () => {
  const options = { ...PAIRED, data: files.taught, out: join(work, 'early') } as const
  const aborter = new AbortController()
  const first = train({ ...options, signal: aborter.signal, onReference: ({ done }) => done === 8 && aborter.abort() })
  await failure(first, 'ABORTED')
  const totals = new Set<number>()
  await train({ ...options, onReference: ({ total }) => totals.add(total) })
  assert.equal([...totals], [8])
  const whole = join(work, 'undisturbed')
  await train({ ...options, out: whole })
  assert.ok(weightsOf(options.out).equals(weightsOf(whole)))
})

test('of pairs that a short run never comes to nothing is asked', async () => {
  const out = join(work, 'short')
  const told: { done: number; total: number }[] = []
  await train({ ...PAIRED, data: files.taught, out, maxSteps: 2, onReference: (p) => told.push(p) })
  assert.equal(told, [
    { done: 4, total: 8 },
    { done: 8, total: 8 },
  ])
  assert.is(readFileSync(join(out, 'reference.jsonl'), 'utf8').trim().split('\n').length, 1 + 8)
})

test('a pair is asked and answered in the tokens of the engine, whose log-probabilities the trainer gives', async () => {
  const [row] = taughtPairs(1) as [ReturnType<typeof taughtPairs>[number]]
  const turns = row.prompt as ChatTurn[]
  const replies = [row.chosen, row.rejected].map(([turn]) => turn?.content ?? '')
  const options = { compute: 'f32', threads: 1, freeze: ['vision'], recompute: false, seed: 0, lossWeight: 'token' } as const
  const preference = { beta: 0.1, labelSmoothing: 0, chosenWeight: 0 }
  for (const model of [READING, SEEING]) {
    await using trainable = await openTrainable({ ...options, task: 'policy', init: model, saveAs: 'full', preference })
    await using engine = await Engine.open({ model, weights: 'f32' })
    const [reply = '', other = ''] = replies
    const sample = { id: 'a', group: 'a', question: 'q', turns, steps: [], reply, rejected: { reply: other } }
    const pair = await trainable.encode(sample)
    const { logprobs = [] } = await trainable.evaluate([pair])
    for (const [k, { tokens, tokenWeights }] of [pair, pair.rejected as NonNullable<typeof pair.rejected>].entries()) {
      const [written] = await engine.generate({ messages: turns, maxTokens: 1, sampling: { temperature: 0 } })
      const first = tokenWeights.indexOf(1)
      assert.is(first, written?.promptTokens, 'the prompt is what the engine is asked')
      const answer = [...tokens.slice(first)]
      assert.is(engine.tokenizer.decode(answer.slice(0, -1)), replies[k])
      const each = await engine.tokenLogprobs({ tokens: [...tokens], first: first - 1 })
      const expected = each.reduce((a, b) => a + b, 0)
      assert.ok(Math.abs((logprobs[k] as number) - expected) < 1e-4 * Math.abs(expected), `${logprobs[k]}, not ${expected}`)
    }
  }
})

test('conversations that end in what is to be imitated are learnt by a plain policy run', async () => {
  const rows = taughtPairs(8).map(({ id, prompt, chosen }) => ({ id, messages: [...prompt, ...chosen] }))
  const out = join(work, 'imitated')
  const data = writeRows(join(work, 'sft.jsonl'), rows)
  await train({ task: 'policy', init, data, out, epochs: 10, batchSize: 4, learningRate: 3e-3, schedule: 'constant' })
  const losses = learning(out).map(({ loss }) => loss as number)
  assert.ok((losses.at(-1) as number) < 0.7 * (losses[0] as number), `${losses}`)
  const open = writeRows(join(work, 'open.jsonl'), [...rows, { messages: rows[0]?.messages.slice(0, 2) }])
  await failure(
    train({ task: 'policy', init, data: open, out: join(work, 'open') }),
    'INVALID_ARGUMENT',
    /line 9: "messages" must end/,
  )
})

test('pairs of which one answer is too long are left out, and named once', async () => {
  const long = { ...solvedPairs(1)[0], id: 'long', rejected: { steps: ['so '.repeat(200)], answer: '1' } }
  const data = writeRows(join(work, 'long.jsonl'), [...solvedPairs(4, {}), long])
  const { skippedSamples, numSkipped } = await train({ ...PAIRED, data, out: join(work, 'long'), maxTokens: 150, epochs: 2 })
  assert.is(numSkipped, 2)
  assert.equal(
    skippedSamples.map(({ id }) => id),
    ['long'],
  )
})

test('options and rows that do not fit', async () => {
  const out = join(work, 'refused')
  const base = { ...PAIRED, data: files.taught, out } as const
  await failure(train({ ...base, task: 'prm' }), 'INVALID_ARGUMENT', /loss "dpo" trains a policy/)
  await failure(train({ ...base, loss: undefined, beta: 0.1 }), 'INVALID_ARGUMENT', /beta needs loss "dpo"/)
  await failure(train({ ...base, labelSmoothing: 0.5 }), 'INVALID_ARGUMENT', /labelSmoothing/)
  const [row = {}] = taughtPairs(1)
  const turn = (content: string) => [{ role: 'assistant', content }]
  for (const [bad, says] of [
    [{ ...row, rejected: undefined }, /"rejected" must be a text, messages/],
    [{ ...row, rejected: turn('I add: 0 + 1 = 1. Verification: Yes') }, /"chosen" and "rejected" are the same/],
    [{ ...row, rejected: turn(' ') }, /"rejected" is empty/],
    [{ ...row, rejected: { steps: ['a'], answer: 'b' } }, /must be of one form/],
    [{ ...row, prompt: undefined }, /"prompt" must be/],
    [{ ...row, prompt: [{ role: 'tool', content: 'x' }] }, /prompt\[0\]: "role" must be one of/],
    [{ question: 'q', steps: ['a'], answer: 'b' }, /"chosen" must be a text, messages/],
  ] as const) {
    const data = writeRows(join(work, 'bad.jsonl'), [...taughtPairs(2), bad])
    await failure(train({ ...base, data }), 'INVALID_ARGUMENT', /bad\.jsonl: line 3: /, says)
  }
})

test('from the command line', () => {
  const out = join(work, 'cli')
  const args = ['--task', 'policy', '--loss', 'dpo', '--beta', '0.2', '--init', init, '--data', files.taught, '--out', out]
  const { status, stdout, stderr } = trainCli([...args, '--max-steps', '2', '--batch-size', '4', '--threads', '1', '--json'])
  assert.is(status, 0, stderr)
  assert.is(JSON.parse(stdout).steps, 2)
  const misfit = trainCli(['--task', 'policy', '--loss', 'ppo', '--init', init, '--data', files.taught, '--out', join(work, 'x')])
  assert.is(misfit.status, 2)
  assert.match(misfit.stderr, /--loss must be one of .*, dpo/)
})

test.run()

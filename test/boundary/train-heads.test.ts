/** PRMs with reward heads from end to end: trained by name, saved as public families have them, opened, and gone on with. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TrainSample } from '../../ts/contracts/trainer.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { openTokenizer } from '../../ts/engine/tokenizer/index.ts'
import { initModel, openTrainable } from '../../ts/engine/trainable.ts'
import type { TrainOptions } from '../../ts/train/index.ts'
import { copyCheckpoint, editJson, editTensor, pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { readJson, readTensors } from '../helpers/golden.ts'
import {
  failure,
  metricsOf,
  PICTURE,
  policyRows,
  prmRows,
  READING,
  SEEING,
  tinyCheckpoint,
  train,
  trainCli,
  weightsOf,
  workFolder,
  writeRows,
} from '../helpers/training.ts'

const work = workFolder()
const LLAMA = pickCheckpoint({ architecture: /^LlamaForCausalLM$/ })
const MISTRAL = pickCheckpoint({ architecture: /^MistralForCausalLM$/ })
const QWEN3 = pickCheckpoint({ architecture: /^Qwen3ForCausalLM$/ })
let runs = 0
const fresh = () => join(work, `out-${runs++}`)

/** Random weights of `like`'s shape, after its files were changed. */
async function languageModel(like: string, edits: Record<string, object> = {}): Promise<string> {
  const out = fresh()
  const names = readdirSync(like).filter((name) =>
    /^(config|tokenizer\w*|special_tokens_map)\.json$|\.model$|\.jinja$/.test(name),
  )
  const files = names.map((name) => {
    const text = readFileSync(join(like, name))
    return [name, edits[name] ? JSON.stringify({ ...JSON.parse(text.toString()), ...edits[name] }) : text]
  })
  await initModel({ files: Object.fromEntries(files), out, seed: 1 })
  return out
}

/** A Qwen2 whose head is stored, and whose tokenizer has what Skywork's prompts begin with. */
const QWEN2 = await languageModel(READING, {
  'config.json': { tie_word_embeddings: false },
  'tokenizer_config.json': { bos_token: '<|endoftext|>' },
})
const data = writeRows(join(work, 'data.jsonl'), prmRows(8))
const groupRows = Array.from({ length: 12 }, (_, i) => ({
  id: `g${i}`,
  problemId: `g${i >> 1}`,
  question: `What is ${i} plus 2?`,
  prefix: i % 2 ? [`We add 2 to ${i}.`] : [],
  steps: [`It is ${i + 2}.`, `It is ${i + 3}.`, 'I do not know.'],
  labels: [0.9, 0.25, 0.2],
}))
const groups = writeRows(join(work, 'groups.jsonl'), [...groupRows, ...prmRows(2)])
const COMMON = { task: 'prm', data, freeze: [], epochs: 2, schedule: 'constant' } as const satisfies Partial<TrainOptions>

/** What the trainer itself predicts of a sample. */
async function predictions(init: string, sample: TrainSample): Promise<number[]> {
  const more = { freeze: [], recompute: false, seed: 0, lossWeight: 'token', saveAs: 'full' } as const
  await using model = await openTrainable({ task: 'prm', init, compute: 'f32', threads: 1, ...more })
  const { predictions } = await model.evaluate([await model.encode(sample)])
  return [...(predictions[0] as Float32Array)]
}

const SAMPLE = { id: 'a', group: 'a', ...(prmRows(1)[1] as { question: string; steps: string[]; labels: number[] }) }

async function checkEngine(folder: string, scoring: string, head: object): Promise<void> {
  await using engine = await Engine.open({ model: folder, weights: 'f32' })
  assert.equal(engine.info().head, head)
  assert.is(engine.info().scoring, scoring)
  const scores = await engine.scoreSteps({ question: SAMPLE.question, steps: SAMPLE.steps })
  const expected = await predictions(folder, SAMPLE)
  assert.is(scores.length, 2)
  scores.forEach((score, i) => {
    assert.ok(Math.abs(score - (expected[i] as number)) < 1e-5, `${score}, the trainer has ${expected[i]}`)
  })
}

const ENSEMBLE = { kind: 'ensemble', heads: 3, width: 6 } as const
type Kind = {
  head: NonNullable<TrainOptions['head']>
  architecture: string
  scoring: string
  info: object
  tensors: Record<string, number[]>
}
const label = (classes: number) => ({ 'score.weight': [classes, 64], 'score.bias': [classes] })
const KINDS: [init: string, Kind][] = [
  [
    QWEN2,
    {
      ...{ head: 'value', architecture: 'Qwen2ForPrmModel', scoring: 'skywork', info: { kind: 'value', outputs: 1 } },
      tensors: { 'v_head.summary.weight': [1, 64], 'v_head.summary.bias': [1], 'lm_head.weight': [657, 64] },
    },
  ],
  [
    QWEN2,
    {
      ...{ head: 'classes', architecture: 'Qwen2ForTokenClassification', scoring: 'trl', info: { kind: 'classes', outputs: 2 } },
      tensors: label(2),
    },
  ],
  [
    QWEN2,
    {
      ...{ head: 'two-layer', architecture: 'Qwen2ForProcessRewardModel', scoring: 'qwen2.5-math-prm' },
      info: { kind: 'classes', outputs: 2 },
      tensors: { 'score.0.weight': [64, 64], 'score.0.bias': [64], 'score.2.weight': [2, 64], 'score.2.bias': [2] },
    },
  ],
  [
    QWEN2,
    {
      ...{ head: ENSEMBLE, architecture: 'Qwen2ForEnsemblePRM', scoring: 'act-prm', info: { kind: 'ensemble', outputs: 3 } },
      tensors: Object.fromEntries(
        ['model', 'reg_model'].flatMap((copy) => [
          [`score.${copy}.nn1.weight`, [3, 64, 6]],
          [`score.${copy}.nn1.bias`, [3, 6]],
          [`score.${copy}.nn2.weight`, [3, 6, 6]],
          [`score.${copy}.nn2.bias`, [3, 6]],
          [`score.${copy}.nn_out.weight`, [3, 6, 1]],
          [`score.${copy}.nn_out.bias`, [3, 1]],
        ]),
      ),
    },
  ],
  [
    await languageModel(LLAMA),
    {
      ...{ head: 'value', architecture: 'LlamaForTokenClassification', scoring: 'trl', info: { kind: 'value', outputs: 1 } },
      tensors: label(1),
    },
  ],
  [
    await languageModel(MISTRAL),
    {
      ...{
        head: 'classes',
        architecture: 'MistralForTokenClassification',
        scoring: 'trl',
        info: { kind: 'classes', outputs: 2 },
      },
      tensors: label(2),
    },
  ],
  [
    await languageModel(QWEN3),
    {
      ...{ head: 'classes', architecture: 'Qwen3ForTokenClassification', scoring: 'trl', info: { kind: 'classes', outputs: 2 } },
      tensors: label(2),
    },
  ],
]

for (const [init, { head, architecture, scoring, info, tensors }] of KINDS) {
  test(`${architecture}: a new head, saved under the family's names; the engine scores as the trainer does`, async () => {
    const out = fresh()
    await train({ ...COMMON, init, head, out, learningRate: 3e-3, epochs: 4 })
    const config = readJson(join(out, 'config.json'))
    assert.equal(config.architectures, [architecture])
    const saved = readTensors(join(out, 'model.safetensors'))
    const heads = [...saved].filter(([name]) => /^(score|v_head|lm_head)/.test(name)).map(([name, { shape }]) => [name, shape])
    assert.equal(Object.fromEntries(heads), tensors)
    if ('lm_head.weight' in tensors) {
      const before = readTensors(join(init, 'model.safetensors')).get('lm_head.weight')
      assert.equal(saved.get('lm_head.weight')?.data, before?.data, 'the vocabulary is kept as it was')
    }
    if (architecture.endsWith('TokenClassification')) assert.is(Object.keys(config.id2label).length, tensors['score.bias']?.[0])
    const { training, ...record } = readJson(join(out, 'mm-prm.json'))
    assert.equal(record, { task: 'prm', scoring })
    const losses = metricsOf(out).map(({ loss }) => loss as number)
    assert.ok((losses.at(-1) as number) < (losses[0] as number), `losses ${losses}`)
    await checkEngine(out, scoring, info)

    const on = fresh()
    await train({ ...COMMON, init: out, out: on })
    await checkEngine(on, scoring, info)
    const again = readTensors(join(on, 'model.safetensors'))
    assert.equal([...again.keys()].sort(), [...saved.keys()].sort())
    for (const [name] of heads) {
      const isKept = /reg_model|lm_head/.test(name as string)
      const moved = Buffer.compare(bytesOf(again, name as string), bytesOf(saved, name as string)) !== 0
      assert.is(moved, !isKept, `${name} ${moved ? 'moved' : 'stayed'}`)
    }
  })
}

const bytesOf = (tensors: ReturnType<typeof readTensors>, name: string) => {
  const found = tensors.get(name)
  if (!found) throw new Error(`no tensor ${name}`)
  return Buffer.from((found.data as Float32Array).buffer)
}

test('a marker that the tokenizer lacks is added', async () => {
  const marker = '<extra_0>'
  const without = fresh()
  copyCheckpoint(QWEN2, without)
  editJson(without, 'tokenizer.json', (json) => {
    for (const token of json.added_tokens) if (token.content === marker) token.content = '<other>'
  })
  editJson(without, 'tokenizer_config.json', (json) => {
    for (const token of Object.values<{ content: string }>(json.added_tokens_decoder))
      if (token.content === marker) token.content = '<other>'
    json.additional_special_tokens = json.additional_special_tokens?.map((t: string) => (t === marker ? '<other>' : t))
  })
  const out = fresh()
  await train({ ...COMMON, init: without, head: 'two-layer', out })
  const { added } = await openTokenizer(out)
  assert.is(added.ids.get(marker), Math.max(...(await openTokenizer(without)).added.ids.values()) + 1)
  await checkEngine(out, 'qwen2.5-math-prm', { kind: 'classes', outputs: 2 })
})

test('frozen language: the head alone moves; with LoRA the adapters and the head do', async () => {
  const base = readTensors(join(QWEN2, 'model.safetensors'))
  const movedBy = async (more: Partial<TrainOptions>) => {
    const out = fresh()
    await train({ ...COMMON, init: QWEN2, head: 'classes', out, ...more })
    const now = readTensors(join(out, 'model.safetensors'))
    const moved = [...base.keys()].filter((name) => now.has(name) && !bytesOf(now, name).equals(bytesOf(base, name)))
    await checkEngine(out, 'trl', { kind: 'classes', outputs: 2 })
    return moved
  }
  assert.equal(await movedBy({ freeze: ['language'] }), [])
  const lora = { rank: 2, alpha: 4, targets: ['q_proj'] }
  assert.equal(
    (await movedBy({ lora })).map((name) => name.replace(/\d/, 'N')),
    Array(3).fill('model.layers.N.self_attn.q_proj.weight'),
  )
})

test('siblings that are ranked: learnt by heads and pieces, and the order is', async () => {
  const wide = { kind: 'ensemble', heads: 3, width: 32, anchor: 0.01 } as const
  for (const head of [undefined, wide, 'two-layer'] as const) {
    const out = fresh()
    const common = { ...COMMON, init: QWEN2, data: groups, out, loss: 'rank', epochs: 50 } as const
    await train({ ...common, ...(head && { head }), learningRate: 3e-3, rankWeight: 2 })
    await using engine = await Engine.open({ model: out, weights: 'f32' })
    let right = 0
    for (const { question, prefix, steps } of groupRows) {
      const scores = await Promise.all(
        steps.map(async (step) => (await engine.scoreSteps({ question, steps: [...prefix, step] })).at(-1)),
      )
      right += (scores[0] as number) > (scores[1] as number) && (scores[0] as number) > (scores[2] as number) ? 1 : 0
    }
    assert.ok(right >= 10, `${JSON.stringify(head)}: the best of three in ${right} of 12 groups`)
  }
})

test('ensemble, siblings: stopped and resumed, on 1 or 2 threads, packed or not: the same bits', async () => {
  const options = {
    ...COMMON,
    init: QWEN2,
    data: groups,
    head: ENSEMBLE,
    loss: 'rank',
    checkpointEvery: 2,
    evalFraction: 0.5,
  } as const
  const whole = fresh()
  await train({ ...options, out: whole, threads: 2 })
  const out = fresh()
  const stop = new AbortController()
  const onProgress = ({ step }: { step: number }) => step === 3 && stop.abort()
  await failure(train({ ...options, out, threads: 1, onProgress, signal: stop.signal }), 'ABORTED')
  assert.not.ok(existsSync(join(out, 'model.safetensors')))
  await train({ ...options, out, threads: 2, resume: true })
  assert.ok(weightsOf(out).equals(weightsOf(whole)), 'weights')
  assert.equal(metricsOf(out), metricsOf(whole))
  assert.ok(metricsOf(out).length > 5)
  await failure(
    train({ ...options, head: { ...ENSEMBLE, anchor: 0.1 }, out, resume: true }),
    'INVALID_ARGUMENT',
    /head was .*, is .*"anchor":0\.1/,
  )
  await failure(train({ ...options, loss: 'bce', out, resume: true }), 'INVALID_ARGUMENT', /loss was "rank", is "bce"/)
})

test('the anchor holds an ensemble to how it began', async () => {
  const distance = async (anchor: number) => {
    const out = fresh()
    await train({
      ...COMMON,
      init: QWEN2,
      head: { ...ENSEMBLE, anchor },
      out,
      epochs: 6,
      learningRate: 3e-3,
      weightDecay: 0,
      clip: 0,
    })
    const saved = readTensors(join(out, 'model.safetensors'))
    const [now, start] = ['model', 'reg_model'].map((copy) => saved.get(`score.${copy}.nn1.weight`)?.data as Float32Array)
    return Math.hypot(...(now as Float32Array).map((v, i) => v - (start?.[i] as number)))
  }
  const [free, held] = [await distance(0), await distance(100)]
  assert.ok(held < 0.7 * free, `${held} held, ${free} free`)
})

const CLASSIFIER = (() => {
  const folder = fresh()
  copyCheckpoint(pickCheckpoint({ architecture: /^Qwen2ForPrmModel$/ }), folder)
  editJson(folder, 'config.json', (config) => {
    config.architectures = ['Qwen2ForTokenClassification']
  })
  const widen = (values: Float32Array, [, ...rest]: number[]) => {
    return { values: Float32Array.from([...values, ...values, ...values]), shape: [3, ...(rest as number[])] }
  }
  editTensor(folder, /^v_head\.summary\.weight$/, widen)
  editTensor(folder, /^v_head\.summary\.bias$/, widen)
  return folder
})()
const SKYWORK = pickCheckpoint({ architecture: /^Qwen2ForPrmModel$/ })

test('heads, losses and options that do not fit', async () => {
  const refuse = (more: Partial<TrainOptions>, says: RegExp, code = 'INVALID_ARGUMENT') =>
    failure(train({ ...COMMON, init: QWEN2, out: fresh(), ...more }), code, says)
  const seeing = await tinyCheckpoint(fresh(), { like: SEEING })
  await refuse({ init: seeing, head: 'value' }, /no head of kind value for InternVLChatModel: no public class has one/)
  await refuse(
    { init: KINDS[4]?.[0] as string, head: 'two-layer' },
    /no head of kind two-layer for LlamaForCausalLM.*classes and value are for all/,
  )
  await refuse({ init: SKYWORK, head: 'classes' }, /has one of kind value, which is trained on; classes was asked for/)
  await refuse(
    { head: 'value', loss: 'cross-entropy' },
    /loss cross-entropy is for vocabulary, classes, two-layer heads, this one is of kind value: take bce/,
  )
  await refuse({ loss: 'bce' }, /this one is of kind vocabulary: take cross-entropy/)
  await refuse({ init: SKYWORK, loss: 'cross-entropy' }, /of kind value: take bce/)
  await refuse({ head: 'classes', template: 'gflownet' }, /needs a head of 1 value|sequence of its own/)
  await refuse({ head: 'value', template: 'gflownet' }, /template gflownet: reads every step in a sequence of its own/)
  await refuse({ head: 'value', template: 'skyworks' }, /no scoring family "skyworks".*skywork/)
  await refuse({ head: 'classes', template: 'act-prm' }, /act-prm scoring needs an ensemble/)
  await refuse(
    { init: KINDS[4]?.[0] as string, head: 'value', template: 'mm-prm' },
    /scoring "mm-prm" needs a checkpoint without a reward head/,
  )
  const adapters = { lora: { rank: 2, alpha: 4, targets: ['q_proj'] }, saveLora: 'adapters' } as const
  await refuse({ head: 'value', ...adapters }, /adapters cannot be saved apart where a reward head is trained too/)
  await refuse({ init: CLASSIFIER, template: 'trl' }, /needs a head of 1 or 2 classes, this one has 3/)
  await refuse(
    { init: SKYWORK, task: 'policy', data: writeRows(join(work, 'policy.jsonl'), policyRows(2)) },
    /task policy needs a vocabulary head/,
  )
  await refuse(
    { head: 'classes', data: writeRows(join(work, 'seen.jsonl'), prmRows(2, { image: PICTURE })) },
    /reads text only|takes no image/,
    'INVALID_MODEL',
  )
})

test('the command: --head and --loss', () => {
  const out = fresh()
  const args = ['--task', 'prm', '--init', QWEN2, '--data', groups, '--out', out, '--threads', '1', '--max-steps', '1']
  const done = trainCli([...args, '--head', 'value', '--loss', 'rank'])
  assert.is(done.status, 0, done.stderr)
  assert.equal(readJson(join(out, 'config.json')).architectures, ['Qwen2ForPrmModel'])
  const { head, objective } = readJson(join(out, 'mm-prm.json')).training
  assert.equal([head, objective], [{ kind: 'value' }, 'rank'])
  for (const option of ['head', 'loss']) {
    const wrong = trainCli([...args, `--${option}`, 'tower'])
    assert.is(wrong.status, 2)
    assert.match(wrong.stderr, new RegExp(`--${option} must be one of .*, got "tower"`))
  }
})
test.run()

/** Training on what should not be trained on: every refusal says what and where, and nothing learnt so far is lost. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openTokenizer } from '../../ts/engine/tokenizer/index.ts'
import { editJson, readSafetensors, writeSafetensors } from '../helpers/checkpoint-files.ts'
import { readTensors } from '../helpers/golden.ts'
import {
  failure,
  metricsOf,
  PICTURE,
  policyRows,
  prmRows,
  READING,
  tinyCheckpoint,
  train,
  trainCli,
  weightsOf,
  workFolder,
  writeRows,
} from '../helpers/training.ts'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const work = workFolder()
const init = await tinyCheckpoint(join(work, 'init'))
const reading = await tinyCheckpoint(join(work, 'reading'), { like: READING })
let runs = 0
const fresh = () => join(work, `out-${runs++}`)
const dataFile = (rows: readonly (object | string)[]) => writeRows(join(work, `data-${runs++}.jsonl`), rows)
const EMBEDDING = 'language_model.model.embed_tokens.weight'
const good = prmRows(3)
const [row] = good as [Record<string, unknown>]
const said = (process: string) => ({
  labels: [1, 0],
  conversations: [
    { from: 'human', value: '' },
    { from: 'gpt', value: process },
  ],
})

const BAD_LINES: [line: object | string, says: RegExp][] = [
  ['not json', /JSON/],
  ['[1]', /a JSON object is expected/],
  [{ ...row, labels: [1, 1.5] }, /label 1 is 1\.5; a number between 0 and 1/],
  [{ ...row, labels: [-0.1, 1] }, /label 0 is -0\.1/],
  [{ ...row, labels: ['1', 1] }, /label 0 is "1"/],
  [{ ...row, labels: [1] }, /1 labels for 2 steps/],
  [{ ...row, labels: [1, 0, 1] }, /3 labels for 2 steps/],
  [{ ...row, labels: undefined }, /"labels" must be a list/],
  [{ ...row, weights: [1] }, /"weights" must be one number from 0 up per step/],
  [{ ...row, weights: [1, -1] }, /"weights"/],
  [{ ...row, steps: [] }, /"steps" must be a list of strings/],
  [{ ...row, steps: ['a', 3] }, /"steps" must be a list of strings/],
  [{ ...row, steps: ['a', ' '] }, /steps\[1\] is empty/],
  [{ ...row, question: 3 }, /"question" must be a string/],
  [{ ...row, image: 7 }, /"image" must be a path/],
  [{ ...row, image: 'none.png' }, /none\.png: no such file/],
  [said('Question: q\nProcess: a<prm>\n\nb<prm>\n\nc<prm>'), /2 labels for 3 steps/],
  [said('Question: q\nProcess: a<prm>\n\nb'), /must end in <prm>/],
  [said('Question: q\nProcess: '), /no <prm>/],
  [said('a<prm>b<prm>'), /Question: /],
  [{ ...said(''), conversations: 'none' }, /"conversations"/],
]

for (const [line, says] of BAD_LINES) {
  test(`a bad line is named, or skipped and counted by option: ${says.source}`, async () => {
    const data = dataFile([...good, line])
    const out = fresh()
    const error = await failure(train({ task: 'prm', init: reading, data, out }), 'INVALID_ARGUMENT', says)
    assert.ok(error.message.startsWith(`${data}: line ${good.length + 1}: `), error.message)
    assert.not.ok(existsSync(out), 'refused before anything is made')
  })
}

test('bad lines skipped by option are counted and given with their reasons', async () => {
  const lines = BAD_LINES.map(([line]) => line)
  const options = { task: 'prm', init: reading, badLines: 'skip' } as const
  const [mixed, clean] = [fresh(), fresh()]
  const result = await train({ ...options, data: dataFile([...good, ...lines]), out: mixed })
  assert.equal(
    result.skippedLines.map((s) => s.line),
    lines.map((_, i) => good.length + 1 + i),
  )
  result.skippedLines.forEach(({ reason }, i) => assert.match(reason, BAD_LINES[i]?.[1] as RegExp))
  await train({ ...options, data: dataFile(good), out: clean })
  assert.ok(weightsOf(mixed).equals(weightsOf(clean)), 'the good lines are learnt as if alone')
})

const NOTHING: [name: string, rows: object[], says: RegExp][] = [
  ['empty', [], /holds no sample/],
  [
    'labels of one kind',
    good.map((r) => ({ ...r, labels: [1, 1] })),
    /all 12 labels are 1: a PRM needs right steps and wrong ones/,
  ],
  ['no label known', good.map((r) => ({ ...r, labels: [null, null] })), /holds no label/],
  ['weights of 0', good.map((r) => ({ ...r, weights: [0, 0] })), /nothing to learn.*carry no weight/],
]
for (const [name, rows, says] of NOTHING) {
  test(`data that teach nothing: ${name}`, async () => {
    const out = fresh()
    await failure(train({ task: 'prm', init: reading, data: dataFile(rows), out }), 'INVALID_ARGUMENT', says)
    assert.not.ok(existsSync(join(out, 'model.safetensors')))
  })
}

test('a device that does not train is refused by name', async () => {
  const onto = (device: string) => train({ task: 'prm', init: reading, data: dataFile(good), out: fresh(), device })
  await failure(onto('cuda:1'), 'NO_DEVICE', /device "cuda:1" does not train yet; "cpu" does/)
  await failure(onto('gpu'), 'INVALID_ARGUMENT', /device "gpu"; known: auto, cpu/)
  const cli = trainCli(['--task', 'prm', '--init', reading, '--data', dataFile(good), '--out', fresh(), '--device', 'cuda'])
  assert.is(cli.stdout, '')
  assert.match(cli.stderr, /device "cuda" does not train yet/)
})

test('policy rows need an answer; a missing file and a text model with a picture are named', async () => {
  const { answer, ...without } = policyRows(1)[0] as Record<string, unknown>
  const policy = { task: 'policy', init: reading } as const
  await failure(train({ ...policy, data: dataFile([without]), out: fresh() }), 'INVALID_ARGUMENT', /line 1: "answer"/)
  await failure(
    train({ ...policy, data: join(work, 'none.jsonl'), out: fresh() }),
    'INVALID_ARGUMENT',
    /none\.jsonl: no such file/,
  )
  const pictured = dataFile(policyRows(2, { image: PICTURE }))
  await failure(
    train({ ...policy, data: pictured, out: fresh() }),
    'INVALID_MODEL',
    /^sample q\d+: it has an image, but .* reads text only/,
  )
  const broken = join(work, 'broken.png')
  cpSync(PICTURE, broken)
  truncateSync(broken, 200)
  const data = dataFile(policyRows(2, { image: broken }))
  await failure(train({ task: 'policy', init, data, out: fresh() }), 'INVALID_ARGUMENT', /^sample q\d+: .*broken\.png/)
})

test('messages that the chat template refuses are of a sample, and with several files of a file', async () => {
  const folder = join(work, 'refusing')
  cpSync(reading, folder, { recursive: true })
  rmSync(join(folder, 'chat_template.jinja'), { force: true })
  const refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}x"
  editJson(folder, 'tokenizer_config.json', (json) => void (json.chat_template = refusing))
  const said = (id: string, ...roles: string[]) => ({ id, messages: roles.map((role) => ({ role, content: 'words' })) })
  const [good, bad] = [dataFile([said('good', 'user', 'assistant')]), dataFile([said('bad', 'system', 'user', 'assistant')])]
  const policy = { task: 'policy', init: folder } as const
  const says = /the chat template refuses these messages: no system turn/
  const alone = await failure(train({ ...policy, data: bad, out: fresh() }), 'INVALID_ARGUMENT', says)
  assert.match(alone.message, /^sample bad: the chat/)
  const beside = await failure(train({ ...policy, data: [good, bad], out: fresh() }), 'INVALID_ARGUMENT', says)
  assert.ok(beside.message.startsWith(`sample ${bad}: bad: the chat`), beside.message)
})

test('samples longer than the limit: skipped and counted, or an error that names the first', async () => {
  const long = { ...row, id: 'long one', problemId: 'long', steps: ['word '.repeat(400), 'x'], labels: [1, 0] }
  const data = dataFile([...good, long, ...prmRows(6).slice(6)])
  const options = { task: 'prm', init: reading, data, epochs: 2, maxTokens: 300 } as const
  const out = fresh()
  const result = await train({ ...options, out })
  assert.is(result.numSkipped, 2, 'once in each epoch')
  assert.equal(
    result.skippedSamples.map((s) => s.id),
    ['long one'],
  )
  assert.ok((result.skippedSamples[0]?.tokens as number) > 300)
  const seen = metricsOf(out).reduce((sum, line) => sum + (line['samples'] as number), 0)
  assert.is(seen, 2 * 12)
  const error = await failure(train({ ...options, longSamples: 'error', out: fresh() }), 'INVALID_ARGUMENT')
  assert.match(error.message, /sample long one has \d+ tokens; at most 300 are allowed/)
  const all = train({ ...options, maxTokens: 5, out: fresh() })
  await failure(all, 'INVALID_ARGUMENT', /nothing to learn: 13 samples are longer than 5 tokens/)
})

test('a batch of nothing but too long samples moves no weight', async () => {
  const long = (id: number) => ({ ...row, problemId: `long${id}`, steps: ['word '.repeat(400), 'x'], labels: [1, 0] })
  const options = { task: 'prm', init: reading, batchSize: 1, maxTokens: 300, schedule: 'constant', groupPaths: false } as const
  const [out, alone] = [fresh(), fresh()]
  const sample = { ...row, labels: [0.75, 0] }
  await train({ ...options, data: dataFile([sample, long(1), long(2)]), out })
  assert.equal(
    metricsOf(out)
      .map((line) => line['samples'])
      .sort(),
    [0, 0, 1],
  )
  await train({ ...options, data: dataFile([sample, sample]), maxSteps: 1, out: alone })
  assert.ok(weightsOf(out).equals(weightsOf(alone)), 'one step was taken, and it is the one of the good sample')
})

/** `init`, but one token, which no other sample has, is infinite. */
async function poisoned(): Promise<{ folder: string; word: string; width: number }> {
  const folder = join(work, 'poisoned')
  cpSync(init, folder, { recursive: true })
  const tokenizer = await openTokenizer(folder)
  const word = 'Z'
  const id = tokenizer.pieceId(word) as number
  const { header, data } = readSafetensors(folder)
  const embedding = header[EMBEDDING]
  assert.ok(embedding && embedding.dtype === 'F32')
  const width = embedding.shape[1] as number
  for (let c = 0; c < width; c++) data.writeFloatLE(Number.POSITIVE_INFINITY, embedding.data_offsets[0] + 4 * (id * width + c))
  writeSafetensors(folder, header, data)
  return { folder, word, width }
}

test('a loss that is no number: stops, names the batch, keeps the last good checkpoint', async () => {
  const { folder, word, width } = await poisoned()
  const rows = policyRows(12)
  const common = { task: 'policy', init: folder, checkpointEvery: 1, keepCheckpoints: 3, schedule: 'constant' } as const
  for (const compute of ['f32', 'bf16'] as const) {
    const data = dataFile(rows.map((r, i) => (i === 6 ? { ...r, id: 'the bad one', question: `${word} ${word}` } : r)))
    const out = fresh()
    const error = await failure(
      train({ ...common, compute, data, out }),
      'TRAINING',
      /step \d+: the loss is (NaN|Infinity)/,
      /the bad one/,
    )
    const failed = Number(/step (\d+)/.exec(error.message)?.[1])
    assert.not.ok(existsSync(join(out, 'model.safetensors')))
    const kept = existsSync(join(out, 'checkpoints')) ? readdirSync(join(out, 'checkpoints')) : []
    assert.equal(kept.sort(), Array.from({ length: failed - 1 }, (_, i) => `step-0000000${i + 1}`).slice(-3))
    assert.ok(metricsOf(out).length === failed - 1)
    for (const name of kept) {
      for (const [tensor, { data: values }] of readTensors(join(out, 'checkpoints', name, 'state.safetensors'))) {
        const numBad = (values as Float32Array).filter((value) => !Number.isFinite(value)).length
        assert.is(numBad, tensor === `value/${EMBEDDING}` ? width : 0, `${name}: ${tensor}: what was bad from the start`)
      }
    }
    const again = await failure(train({ ...common, compute, data, out, resume: true }), 'TRAINING', /the bad one/)
    assert.is(again.message, error.message, 'resumed, it ends in the same place')
  }
  const evalData = dataFile([{ ...policyRows(1)[0], question: word }])
  await failure(train({ ...common, data: dataFile(rows), evalData, out: fresh() }), 'TRAINING', /loss of the evaluation is/)
})

test('weights that ran away end in an error, not in a checkpoint of numbers that are none', async () => {
  const out = fresh()
  const options = { task: 'policy', init, data: dataFile(policyRows(16)), out, schedule: 'constant', learningRate: 1e30 } as const
  await failure(
    train({ ...options, checkpointEvery: 100 }),
    'TRAINING',
    /step \d+: the (loss|gradients' norm) is (NaN|Infinity)/,
    /q\d+/,
  )
  assert.equal(
    readdirSync(out).filter((name) => name !== 'metrics.jsonl'),
    [],
  )
})

test('aborted: the error says so, checkpoints stay, and the run can go on', async () => {
  const data = dataFile(policyRows(24))
  const [out, whole] = [fresh(), fresh()]
  const controller = new AbortController()
  const common = { task: 'policy', init, data, checkpointEvery: 2 } as const
  const onProgress = ({ step }: { step: number }) => void (step === 3 && controller.abort())
  await failure(train({ ...common, out, onProgress, signal: controller.signal }), 'ABORTED')
  assert.equal(readdirSync(join(out, 'checkpoints')), ['step-00000002'])
  await train({ ...common, out, resume: true })
  await train({ ...common, out: whole })
  assert.ok(weightsOf(out).equals(weightsOf(whole)))
  await failure(train({ ...common, out: fresh(), signal: AbortSignal.abort() }), 'ABORTED')
})

/** The command in a process that may write no file of more than `kib`: the system's answer is that of a full disk. */
function cramped(kib: number, args: readonly string[]) {
  const argv = [process.execPath, MAIN, 'train', ...args]
  const { status, stderr } = spawnSync('bash', ['-c', `ulimit -f ${kib}; exec "$@"`, 'bash', ...argv], { encoding: 'utf8' })
  return { status, stderr }
}

test('no room for a checkpoint, or for the result: said, nothing half written, and with room again the run goes on', async () => {
  const data = dataFile(policyRows(24))
  const recipe = join(work, 'recipe.json')
  const options = { compute: 'f32', dtype: 'f32', batchSize: 4, learningRate: 1e-3, schedule: 'constant' } as const
  writeFileSync(recipe, JSON.stringify({ ...options, checkpointEvery: 2 }))
  const [out, whole] = [fresh(), fresh()]
  const controller = new AbortController()
  const onProgress = ({ step }: { step: number }) => void (step === 3 && controller.abort())
  const common = { ...options, task: 'policy', init, data } as const
  await failure(train({ ...common, checkpointEvery: 2, out, onProgress, signal: controller.signal }), 'ABORTED')
  const args = [
    '--task',
    'policy',
    '--init',
    init,
    '--data',
    data,
    '--recipe',
    recipe,
    '--out',
    out,
    '--resume',
    '--threads',
    '1',
  ]
  const full = cramped(1000, args)
  assert.is(full.status, 1, full.stderr)
  assert.match(full.stderr, /cannot save the checkpoint .*step-00000004.*File too large.*\[ERR_ENGINE_STORE\]/)
  assert.equal(readdirSync(join(out, 'checkpoints')), ['step-00000002'], 'the good one stays, no half one')
  await train({ ...common, out, resume: true })
  await train({ ...common, out: whole })
  assert.ok(weightsOf(out).equals(weightsOf(whole)))

  // Adapters make small checkpoints and a large result.
  const lora = { rank: 2, alpha: 4, targets: ['q_proj'] }
  writeFileSync(recipe, JSON.stringify({ ...options, lora, freeze: ['vision', 'projector'] }))
  const [merged, expected] = [fresh(), fresh()]
  const mergedArgs = args.map((arg) => (arg === out ? merged : arg))
  const late = cramped(500, mergedArgs)
  assert.is(late.status, 1, late.stderr)
  assert.match(late.stderr, /cannot write .*model\.safetensors: File too large.*\[ERR_ENGINE_STORE\]/)
  assert.not.ok(readdirSync(merged).some((name) => name.startsWith('model.safetensors')))
  assert.equal(readdirSync(join(merged, 'checkpoints')), ['step-00000006'])
  await train({ ...common, lora, freeze: ['vision', 'projector'], out: merged, resume: true })
  await train({ ...common, lora, freeze: ['vision', 'projector'], out: expected })
  assert.ok(weightsOf(merged).equals(weightsOf(expected)))
})

test('options that contradict each other', async () => {
  const common = { task: 'policy', init, data: dataFile(policyRows(4)), out: fresh() } as const
  const bad: [object, RegExp][] = [
    [{ patience: 2 }, /patience needs evalData or evalFraction/],
    [{ evalEvery: 2 }, /evalEvery needs evalData or evalFraction/],
    [{ evalFraction: 1e-9 }, /holds none out/],
    [{ evalFraction: 1 }, /no sample is left to train on/],
    [{ saveLora: 'adapters' }, /needs lora/],
    [{ out: init }, /out is the folder of init/],
    [{ template: 'prefil' }, /no policy template "prefil" \(did you mean "prefill"\?\)/],
    [{ learningRate: Number.NaN }, /learningRate/],
    [{ epochs: -1 }, /epochs/],
    [{ lerningRate: 1 }, /unknown option "lerningRate" \(did you mean "learningRate"\?\)/],
    [{ freeze: ['visoin'] }, /freeze\[0\]/],
    [{ lora: { rank: 0, alpha: 1, targets: ['q_proj'] } }, /lora\.rank/],
    [{ lora: { rank: 2, alpha: 1, targets: [] } }, /lora\.targets/],
  ]
  for (const [options, says] of bad) await failure(train({ ...common, ...options }), 'INVALID_ARGUMENT', says)
  await failure(train({ ...common, init: join(work, 'nowhere') }), 'INVALID_MODEL', /nowhere: no such folder/)
})
test.run()

/** Adapters that bring a head: the vocabulary's over a base that is tied to its embedding, and classifiers over a language model. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import {
  copyCheckpoint,
  editJson,
  type Header,
  type HeaderEntry,
  readSafetensors,
  writeSafetensors,
} from '../helpers/checkpoint-files.ts'
import { GOLDEN_ROOT } from '../helpers/golden.ts'
import { asF32, asFile, type Tensors, writeAdapter } from '../helpers/peft.ts'
import { failure, workFolder } from '../helpers/training.ts'

const work = workFolder()
const golden = (name: string) => join(GOLDEN_ROOT, 'models', name)
const TOKENS = [1, 5, 9, 200, 31]
const EMBED = /(^|\.)embed_tokens\.weight$/
const wave = (n: number, step: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * step) / 8)

let folders = 0
const nextFolder = () => join(work, `${folders++}`)

/** The base with further tensors beside its own (in the place of the same name), and its config changed. */
function stored(base: string, added: Tensors, edit: (config: Record<string, unknown>) => void): string {
  const folder = nextFolder()
  copyCheckpoint(base, folder)
  editJson(folder, 'config.json', edit)
  const own = readSafetensors(folder)
  const kept = Object.entries(own.header).filter(([name]) => !(name in added))
  const header: Header = {}
  const parts: Uint8Array[] = []
  let end = 0
  const put = (name: string, { dtype, shape }: HeaderEntry, bytes: Uint8Array) => {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] }
    end += bytes.length
    parts.push(bytes)
  }
  for (const [name, entry] of kept) put(name, entry, own.data.subarray(...entry.data_offsets))
  const file = asFile(added)
  for (const [name, entry] of Object.entries(file.header)) put(name, entry, file.data.subarray(...entry.data_offsets))
  writeSafetensors(folder, header, Buffer.concat(parts))
  return folder
}

function embeddingOf(base: string): { name: string; rows: number; cols: number; values: Float32Array } {
  const { header, data } = readSafetensors(base)
  const [name, entry] = Object.entries(header).find(([key]) => EMBED.test(key)) as [string, HeaderEntry]
  const [rows, cols] = entry.shape as [number, number]
  return { name, rows, cols, values: asF32(data.subarray(...entry.data_offsets), entry.dtype) }
}

async function logits(model: string, adapters: string[] = []): Promise<Float32Array> {
  await using engine = await Engine.open({ model, adapters, weights: 'f32' })
  return (await engine.logits({ tokens: TOKENS })).logits
}

/** Tied bases: where the head lies in the file of each layout, and what PEFT calls it. */
const TIED: [base: string, stored: string, running: string][] = [
  ['qwen2-tied', 'lm_head.weight', 'lm_head'],
  ['qwen3', 'lm_head.weight', 'lm_head'],
]
for (const [name, head, module] of TIED) {
  const base = golden(name)
  const { name: embed, rows, cols, values } = embeddingOf(base)
  const untied = (c: Record<string, unknown>) => void (c['tie_word_embeddings'] = false)

  test(`${name}: a head that was trained is no embedding`, async () => {
    const tensor = { shape: [rows, cols], values: wave(rows * cols, 0.7) }
    const over = writeAdapter(nextFolder(), { modules_to_save: ['lm_head'] }, { [`base_model.model.${module}.weight`]: tensor })
    assert.equal(await logits(base, [over]), await logits(stored(base, { [head]: tensor }, untied)))
  })

  test(`${name}: an adapter of the head changes the head alone`, async () => {
    const [a, b] = [wave(2 * cols, 0.3), wave(rows * 2, 0.9)]
    const own = values.map((value, i) => {
      const [row, col] = [Math.floor(i / cols), i % cols]
      const product = [0, 1].reduce((sum, r) => sum + (b[row * 2 + r] as number) * (a[r * cols + col] as number), 0)
      return value + Math.fround(4 * product)
    })
    const over = writeAdapter(
      nextFolder(),
      { target_modules: ['lm_head'] },
      {
        [`base_model.model.${module}.lora_A.weight`]: { shape: [2, cols], values: a },
        [`base_model.model.${module}.lora_B.weight`]: { shape: [rows, 2], values: b },
      },
    )
    assert.equal(await logits(base, [over]), await logits(stored(base, { [head]: { shape: [rows, cols], values: own } }, untied)))
  })

  test(`${name}: an embedding that was trained by itself leaves the head what it was, unless it is to stay tied`, async () => {
    const tensor = { shape: [rows, cols], values: wave(rows * cols, 0.7) }
    const over = (config: object) =>
      writeAdapter(nextFolder(), { modules_to_save: ['embed_tokens'], ...config }, { [`base_model.model.${embed}`]: tensor })
    const apart = stored(base, { [embed]: tensor, [head]: { shape: [rows, cols], values } }, untied)
    assert.equal(await logits(base, [over({})]), await logits(apart))
    const together = stored(base, { [embed]: tensor }, () => {})
    assert.equal(await logits(base, [over({ ensure_weight_tying: true })]), await logits(together))
  })

  test(`${name}: a vocabulary that grew comes as embedding and head`, async () => {
    const grown = { shape: [rows + 3, cols], values: wave((rows + 3) * cols, 0.7) }
    const other = { shape: [rows + 3, cols], values: wave((rows + 3) * cols, 0.2) }
    const tensors = { [`base_model.model.${embed}`]: grown, [`base_model.model.${module}.weight`]: other }
    const whole = stored(base, { [embed]: grown, [head]: other }, (c) =>
      Object.assign(c, { tie_word_embeddings: false, vocab_size: rows + 3 }),
    )
    assert.equal(await logits(base, [writeAdapter(nextFolder(), {}, tensors)]), await logits(whole))
  })
}

test('a classifier over a language model scores as one that was saved whole', async () => {
  const base = golden('qwen2-tied')
  const { cols } = embeddingOf(base)
  for (const [head, classes, bias] of [
    ['score', 2, false],
    ['classifier', 1, true],
  ] as const) {
    // biome-ignore format: a pair each
    const parts: Tensors = {
      [`${head}.weight`]: { shape: [classes, cols], values: wave(classes * cols, 0.7) },
      ...(bias && { [`${head}.bias`]: { shape: [classes], values: wave(classes, 0.7) } }),
    }
    const named = Object.fromEntries(Object.entries(parts).map(([key, tensor]) => [`base_model.model.${key}`, tensor]))
    const over = writeAdapter(nextFolder(), { task_type: 'TOKEN_CLS', modules_to_save: [head] }, named)
    const whole = stored(base, parts, (c) => Object.assign(c, { architectures: ['Qwen2ForTokenClassification'] }))
    const asked = { question: 'How many?', steps: ['12 + 30 = 42.', 'So 42.'], returnLogits: true as const }
    const scores = []
    for (const options of [{ model: base, adapters: [over] }, { model: whole }]) {
      await using engine = await Engine.open({ ...options, scoring: 'trl', weights: 'f32' })
      assert.is(engine.info().head.outputs, classes)
      scores.push(await engine.scoreSteps(asked))
    }
    assert.equal(scores[0], scores[1])
  }
})

test('heads that do not fit are refused by name', async () => {
  const base = golden('qwen2-tied')
  const { rows, cols } = embeddingOf(base)
  const open = (name: string, shape: number[]) => {
    const values = wave(
      shape.reduce((a, b) => a * b, 1),
      0.7,
    )
    const over = writeAdapter(nextFolder(), {}, { [`base_model.model.${name}`]: { shape, values } })
    return Engine.open({ model: base, adapters: [over], weights: 'f32' })
  }
  await failure(open('lm_head.weight', [rows, cols + 1]), 'INVALID_MODEL', /lm_head\.weight" is \[.*adapter of another base/)
  await failure(open('score.weight', [2, cols + 1]), 'INVALID_MODEL', /score\.weight/)
  await failure(open('v_head.weight', [1, cols]), 'INVALID_MODEL', /no v_head\.weight to be replaced/)
})

test.run()

/**
 * What check_transformers.py compares with: ids of some texts and fp32 logits of the engine for some prompts.
 *
 *   node --import tsx bench/peer/write-logits.ts MODEL OUT          a checkpoint as it stands
 *   node --import tsx bench/peer/write-logits.ts --fresh OUT        policy, PRM and text model, made and trained here
 *
 * Leaves OUT/<name>/expected.json and *.bin (little-endian fp32) for each model; --fresh also the checkpoints.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { Engine } from '../../ts/engine/engine.ts'
import { openTokenizer } from '../../ts/engine/tokenizer/index.ts'
import { initModel, openTrainable } from '../../ts/engine/trainable.ts'
import { IMAGE_SIZE, IN_DOMAIN, makeProblem } from '../../ts/tasks/index.ts'
import { miniModelFiles } from '../../ts/tasks/mini-model.ts'
import { type Dataset, runTraining } from '../../ts/train/index.ts'

const SAMPLES = 64
const PROMPT_TOKENS = 48

/** Numbers, blanks, other scripts, and the names of special tokens. */
const TEXTS = [
  'How many fruits are there? 12 + 30 = 42.',
  '  two blanks,\ttab\nand\n\nlines ',
  'x^2 - 3.14y = 1,000 (approx. 5%)',
  'Größe 角度 угол ∠ABC = 90° 🙂',
  '<|im_start|>user\nWhat?<|im_end|>\n',
  '<img><IMG_CONTEXT></img> <prm> Yes No <step>a</step><answer>7</answer>',
  "It's, he'll, I'D, don't",
]

const { values, positionals } = parseArgs({ options: { fresh: { type: 'boolean', default: false } }, allowPositionals: true })
const [first, second] = positionals
if (!first || (!values.fresh && !second)) throw new Error('usage: write-logits.ts MODEL OUT | --fresh OUT')
if (values.fresh) {
  for (const model of await freshCheckpoints(resolve(first))) await write(model, resolve(first))
} else await write(resolve(first), resolve(second as string))

async function freshCheckpoints(out: string): Promise<string[]> {
  const files = miniModelFiles()
  const init = join(out, 'init')
  await initModel({ files, out: init, seed: 1 })
  const config = JSON.parse(files['config.json'] as string).llm_config
  const text = join(out, 'init-text')
  await initModel({ files: { ...files, 'config.json': JSON.stringify(config) }, out: text, seed: 2 })
  const [policy, prm, reader] = ['policy', 'prm', 'text'].map((name) => join(out, 'models', name)) as [string, string, string]
  const options = { batchSize: 8, epochs: 1, learningRate: 1e-3, resume: true } as const
  await runTraining({ ...options, task: 'policy', init, out: policy, data: samples(true), freeze: [] }, openTrainable)
  await runTraining({ ...options, task: 'prm', init: policy, out: prm, data: samples(true) }, openTrainable)
  await runTraining({ ...options, task: 'policy', init: text, out: reader, data: samples(false) }, openTrainable)
  return [policy, prm, reader]
}

/** Mini-K12 solutions; every third step is labelled wrong, so that there is something to tell apart. */
function samples(withPicture: boolean): Dataset {
  return {
    size: SAMPLES,
    fingerprint: `mini-k12/check/${SAMPLES}/${withPicture}`,
    at(index) {
      const { id, question, steps, answer, pixels } = makeProblem(IN_DOMAIN[index % IN_DOMAIN.length] as never, 'check', index)
      const image = { pixels, width: IMAGE_SIZE, height: IMAGE_SIZE, channels: 1 as const }
      const labels = steps.map((_, i) => ((i + index) % 3 === 0 ? 0 : 0.9))
      return { id, group: id, question, steps: steps.map((s) => s.text), answer, labels, ...(withPicture && { image }) }
    },
  }
}

async function write(model: string, out: string): Promise<void> {
  const folder = join(out, 'expected', basename(model))
  mkdirSync(folder, { recursive: true })
  await using engine = await Engine.open({ model, weights: 'f32' })
  const tokenizer = await openTokenizer(model)
  const vocabulary = Math.min(tokenizer.vocabSize, engine.info().decoder.vocab)
  const { vision } = engine.info()
  const ids = (seed: number) => Array.from({ length: PROMPT_TOKENS }, (_, i) => (7919 * (i + seed) ** 2 + 31 * i) % vocabulary)
  const picture = tokenizer.pieceId('<IMG_CONTEXT>')
  const plain = (seed: number) => ids(seed).map((id) => (id === picture ? 0 : id))
  const cases = []
  for (const seed of [1, 2]) {
    const tokens = plain(seed)
    const { logits, width } = await engine.logits({ tokens })
    cases.push({ ...save(`text-${seed}`, logits, width), tokens })
  }
  if (vision && picture !== undefined) {
    // As large as a tile, so that no resizing is part of the comparison.
    const size = vision.imageSize
    const rgb = Uint8Array.from({ length: 3 * size * size }, (_, i) => (i * i * 31 + (i >> 5) * 17) % 256)
    const png = await sharp(rgb, { raw: { width: size, height: size, channels: 3 } })
      .png()
      .toBuffer()
    writeFileSync(join(folder, 'image.bin'), rgb)
    const rows = Array.from({ length: vision.tokensPerTile }, () => picture)
    const tokens = [...plain(3).slice(0, 8), ...rows, ...plain(3).slice(8)]
    const { logits, width } = await engine.logits({ tokens, image: png, maxTiles: 1 })
    cases.push({ ...save('picture', logits, width), tokens, image: { file: 'image.bin', size } })
  }
  const texts = TEXTS.map((text) => ({ text, ids: tokenizer.encode(text) }))
  writeFileSync(join(folder, 'expected.json'), `${JSON.stringify({ model, cases, texts }, null, 1)}\n`)
  console.log(`${folder}: ${cases.length} prompts, ${texts.length} texts`)

  function save(name: string, logits: Float32Array, width: number) {
    writeFileSync(join(folder, `${name}.bin`), new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength))
    return { name, logits: `${name}.bin`, width }
  }
}

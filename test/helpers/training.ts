/** What tests of training have in common: tiny checkpoints, data files, one way to run and to compare. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { seededRandom } from '../../ts/contracts/random.ts'
import { loadNative, type NativePicture } from '../../ts/engine/native.ts'
import { initModel, openTrainable } from '../../ts/engine/trainable.ts'
import { runTraining, type TrainOptions, type TrainResult } from '../../ts/train/index.ts'
import { editJson, pickCheckpoint, picturesOf } from './checkpoint-files.ts'

export const SEEING = pickCheckpoint({ sharded: false, vision: true, kind: 'trainIds', file: 'tokenizer.json' })
export const READING = pickCheckpoint({ vision: false, tied: true, head: 'vocabulary', file: 'tokenizer.json' })
export const [PICTURE = ''] = picturesOf(SEEING)
const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')

/** A folder that goes with the process. */
export function workFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-train-test-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const SMALL_FILES =
  /^(config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|generation_config|preprocessor_config)\.json$|^tokenizer\.model$|^chat_template\.jinja$/

/** One tile of random pixels, between -1 and 1 when they are read. */
export function randomPicture(side: number, seed: string): Promise<NativePicture> {
  const random = seededRandom(seed)
  const rgb = Uint8Array.from({ length: 3 * side * side }, () => Math.floor(256 * random()))
  const half = [0.5, 0.5, 0.5]
  const options = { imageSize: side, minTiles: 1, maxTiles: 1, useThumbnail: false, mean: half, std: half }
  return loadNative().cutPicture(rgb, side, side, options)
}

/**
 * A checkpoint with random weights of `like`'s shape. `withMarker`: false leaves `<prm>` out of its vocabulary,
 * `withReward`: false makes Yes and No other pieces.
 */
export async function tinyCheckpoint(
  out: string,
  options: { like?: string; withMarker?: boolean; withReward?: boolean; seed?: number } = {},
): Promise<string> {
  const { like = SEEING, withMarker = true, withReward = true, seed = 1 } = options
  const names = readdirSync(like).filter((name) => SMALL_FILES.test(name))
  await initModel({
    files: Object.fromEntries(names.map((name) => [name, readFileSync(join(like, name))])),
    out,
    seed,
    dtype: 'f32',
  })
  if (withMarker) return out
  removeMarker(out)
  if (!withReward) renameRewards(out)
  rmSync(join(out, 'model.safetensors'))
  const files = readdirSync(out).map((name) => [name, readFileSync(join(out, name))])
  await initModel({ files: Object.fromEntries(files), out, seed })
  return out
}

/** `<prm>` is the last token of the golden vocabularies. */
function removeMarker(folder: string): void {
  let size = 0
  editJson(folder, 'tokenizer.json', (json) => {
    json.added_tokens = json.added_tokens.filter((t: { content: string; id: number }) => t.content !== '<prm>')
    size = Math.max(...json.added_tokens.map((t: { id: number }) => t.id)) + 1
  })
  editJson(folder, 'tokenizer_config.json', (json) => {
    for (const [id, token] of Object.entries<{ content: string }>(json.added_tokens_decoder ?? {})) {
      if (token.content === '<prm>') delete json.added_tokens_decoder[id]
    }
    json.additional_special_tokens = json.additional_special_tokens?.filter((t: string) => t !== '<prm>')
  })
  editJson(folder, 'config.json', (json) => {
    ;(json.llm_config ?? json.text_config ?? json).vocab_size = size
  })
}

/** Pieces that no merge makes: the letters stay apart. */
function renameRewards(folder: string): void {
  editJson(folder, 'tokenizer.json', ({ model }) => {
    for (const piece of ['Yes', 'No']) {
      model.vocab[`${piece}~${piece}`] = model.vocab[piece]
      delete model.vocab[piece]
      model.merges = model.merges.filter((merge: string | string[]) => [merge].flat().join('').replaceAll(' ', '') !== piece)
    }
  })
}

/** Rows of `mm-prm dataset` (format `steps`): two paths for each of `count` problems, labels of all kinds. */
export function prmRows(count: number, more: object = {}): Record<string, unknown>[] {
  return Array.from({ length: 2 * count }, (_, i) => {
    const problem = i >> 1
    const sum = 3 * problem + 5
    const steps = [
      `There are ${problem} apples and ${2 * problem + 5} pears.`,
      i % 2 ? `I guess ${sum + 1}.` : `The sum is ${sum}.`,
    ]
    const labels = i % 2 ? [0.75, 0] : [0.75, problem % 3 === 0 ? null : 1]
    return {
      id: `p${problem}#${i % 2}`,
      problemId: `p${problem}`,
      question: `How many fruits? (${problem})`,
      steps,
      labels,
      ...more,
    }
  })
}

export function policyRows(count: number, more: object = {}): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `q${i}`,
    problemId: `q${i}`,
    question: `What is ${i} plus ${i + 1}?`,
    steps: [`${i} + ${i + 1} = ${2 * i + 1}.`],
    answer: String(2 * i + 1),
    ...more,
  }))
}

export function writeRows(path: string, rows: readonly (object | string)[]): string {
  writeFileSync(path, rows.map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`).join(''))
  return path
}

/** Options that make a run of a second. */
export const QUICK = { compute: 'f32', dtype: 'f32', batchSize: 4, learningRate: 1e-3, threads: 1 } as const

export function train(options: TrainOptions): Promise<TrainResult> {
  return runTraining({ ...QUICK, ...options }, openTrainable)
}

export function trainCli(args: readonly string[]) {
  const argv = [MAIN, 'train', ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** `code` without ERR_ENGINE_. */
export async function failure(work: Promise<unknown>, code: string, ...says: RegExp[]): Promise<EngineError> {
  const error = await work.then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.ok(error !== undefined, `should have failed with ${code}`)
  assert.instance(error, EngineError, String((error as Error).stack))
  const { code: actual, message } = error as EngineError
  assert.is(actual, `ERR_ENGINE_${code}`, message)
  for (const expected of says) assert.match(message, expected)
  return error as EngineError
}

export const weightsOf = (folder: string) => readFileSync(join(folder, 'model.safetensors'))

/** metrics.jsonl without what depends on the clock. */
export function metricsOf(folder: string): Record<string, unknown>[] {
  const path = join(folder, 'metrics.jsonl')
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => {
    const { seconds, ...rest } = JSON.parse(line)
    return rest
  })
}

/**
 * The parts of a model folder that TypeScript reads: config.json (for the tokenizer side), the image
 * preprocessing settings, and what the checkpoint records about its own scoring. Weights and the model's
 * dimensions are read natively.
 */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { invalidArgument, invalidModel } from '../contracts/errors.ts'
import { type RecordedScoring, readRecordedScoring } from './families/index.ts'
import { modelFiles } from './folder-files.ts'
import { checkModelFolder } from './model-folder.ts'
import type { NativeVisionInfo, PictureOptions, WholeOptions } from './native.ts'
import { turnEnd } from './template/chat.ts'
import type { Tokenizer } from './tokenizer/index.ts'

const IMAGENET_MEAN = [0.485, 0.456, 0.406]
const IMAGENET_STD = [0.229, 0.224, 0.225]
const IMAGE_CONTEXT = '<IMG_CONTEXT>'
/** What chat templates write where a picture stands. */
const IMAGE_TOKENS = ['<|image_pad|>', IMAGE_CONTEXT]
const END_OF_TURN = '<|im_end|>'

/** Architectures that are asked so, in transformers' names. */
const OWN_CHAT: readonly unknown[] = [
  'InternVLForConditionalGeneration',
  'Qwen2_5_VLForConditionalGeneration',
  'Qwen3VLForConditionalGeneration',
]

const configSchema = z.looseObject({
  architectures: z.unknown(), // checked natively
  image_token_id: z.number().int().nonnegative().optional(),
  system_message: z.string().optional(),
  /** Of an ensemble PRM: what stands behind each step. */
  rr_token: z
    .string()
    .min(1)
    .nullish()
    .transform((token) => token ?? undefined),
})
const tokenId = z.number().int().nonnegative()
const generationSchema = z.looseObject({ eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish() })
const preprocessorSchema = z.looseObject({
  image_mean: z.array(z.number()).length(3).optional(),
  image_std: z.array(z.number().positive()).length(3).optional(),
  min_patches: z.number().int().positive().optional(),
  max_patches: z.number().int().positive().optional(),
})
const processorSchema = z.looseObject({ image_processor: preprocessorSchema.nullish() })

/** A JSON file of the folder; undefined where it may be absent. */
async function readJson<S extends z.ZodType>(folder: string, name: string, schema: S): Promise<z.output<S> | undefined> {
  const path = join(folder, name)
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw invalidModel(`${path}: ${error.message}`, error)
  })
  if (text === undefined) return undefined
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw invalidModel(`${path}: ${(error as Error).message}`, error)
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  throw invalidModel(`${path}: ${parsed.error.issues.map((i) => `${i.path.join('.')}: ${i.message}`).join('; ')}`)
}

export class CheckpointFolder {
  readonly path: string
  readonly config: z.output<typeof configSchema>
  readonly recorded: RecordedScoring | undefined
  readonly #preprocessor: z.output<typeof preprocessorSchema>
  readonly #eosIds: readonly number[]

  constructor(
    path: string,
    config: z.output<typeof configSchema>,
    preprocessor: z.output<typeof preprocessorSchema>,
    recorded: RecordedScoring | undefined,
    eosIds: readonly number[],
  ) {
    this.path = path
    this.config = config
    this.#preprocessor = preprocessor
    this.recorded = recorded
    this.#eosIds = eosIds
  }

  /** Tokens that end what the model writes: those its files name, and the end of a turn in its chat template and in our own. */
  endTokens(tokenizer: Tokenizer): number[] {
    const ids = [...this.#eosIds, tokenizer.eosId, turnEnd(tokenizer), tokenizer.added.ids.get(END_OF_TURN)]
    return [...new Set(ids.filter((id) => id !== undefined))]
  }

  /**
   * The published chat models of InternVL are asked with templates of their own code, by name; those in transformers' own
   * layout, and all other families, with the folder's chat template, as transformers asks them. Where that is absent the
   * named ones do, unless they write pictures in other tokens than the model's.
   */
  usesOwnChat(tokenizer: Tokenizer): boolean {
    const { architectures } = this.config
    if (!Array.isArray(architectures) || !OWN_CHAT.includes(architectures[0])) return false
    return tokenizer.chat.template !== undefined || this.readsOtherPictures(tokenizer)
  }

  /** @throws EngineError INVALID_MODEL where the tokenizer has the known tokens for pictures, and the config names another one */
  checkImageToken(tokenizer: Tokenizer): void {
    const { image_token_id: id } = this.config
    if (id === undefined) return
    const known = IMAGE_TOKENS.filter((name) => tokenizer.pieceId(name) !== undefined)
    if (known.length === 0 || known.some((name) => tokenizer.pieceId(name) === id)) return
    const said = known.map((name) => `${name} is ${tokenizer.pieceId(name)}`).join(', ')
    throw invalidModel(`${join(this.path, 'config.json')}: "image_token_id" is ${id}, but in the tokenizer ${said}`)
  }

  /** Id of the token that stands for one row of an image, or -1 where the tokenizer has none. */
  imageToken(tokenizer: Tokenizer): number {
    return this.config.image_token_id ?? tokenizer.pieceId(IMAGE_CONTEXT) ?? -1
  }

  /** Whether its pictures are written with another token than InternVL's. */
  readsOtherPictures(tokenizer: Tokenizer): boolean {
    return ![-1, tokenizer.pieceId(IMAGE_CONTEXT)].includes(this.imageToken(tokenizer))
  }

  /** @throws EngineError INVALID_MODEL, INVALID_ARGUMENT where tiles are counted and there are none */
  pictureOptions(vision: NativeVisionInfo, maxTiles: number | undefined): PictureOptions {
    const p = this.#preprocessor
    if (vision.merge > 0) return this.#wholeOptions(vision, maxTiles)
    const most = maxTiles ?? (vision.dynamicTiles ? (p.max_patches ?? vision.maxTiles) : 1)
    return {
      imageSize: vision.imageSize,
      minTiles: Math.min(p.min_patches ?? vision.minTiles, most),
      maxTiles: most,
      useThumbnail: vision.useThumbnail,
      mean: p.image_mean ?? IMAGENET_MEAN,
      std: p.image_std ?? IMAGENET_STD,
    }
  }

  #wholeOptions({ patchSize, merge, minPixels, maxPixels }: NativeVisionInfo, maxTiles: number | undefined): WholeOptions {
    const { image_mean: mean, image_std: std } = this.#preprocessor
    if (!mean || !std) throw invalidModel(`${this.path}: preprocessor_config.json: image_mean and image_std are needed`)
    if (maxTiles !== undefined) throw invalidArgument('maxTiles: this model reads whole pictures and no tiles')
    return { factor: patchSize * merge, minPixels, maxPixels, mean, std }
  }
}

/** transformers 5 keeps the image processor's settings inside those of the whole processor, and prefers them there. */
async function readPreprocessor(path: string): Promise<z.output<typeof preprocessorSchema>> {
  const nested = await readJson(path, 'processor_config.json', processorSchema)
  const own = nested?.image_processor ?? (await readJson(path, 'preprocessor_config.json', preprocessorSchema))
  return own ?? preprocessorSchema.parse({})
}

/**
 * `recording`: the folder that says how the model is used, where it is another.
 * @throws EngineError INVALID_MODEL naming the file and key, UNSUPPORTED_MODEL
 */
export async function readCheckpointFolder(folder: string, recording?: string): Promise<CheckpointFolder> {
  const path = resolve(folder)
  await checkModelFolder(path)
  modelFiles(path)
  const config = await readJson(path, 'config.json', configSchema)
  if (!config) throw invalidModel(`${path}: config.json is missing`)
  const preprocessor = await readPreprocessor(path)
  const generation = await readJson(path, 'generation_config.json', generationSchema)
  const eosIds = [generation?.eos_token_id ?? []].flat()
  const recorded = await readRecordedScoring(recording ?? path)
  return new CheckpointFolder(path, config, preprocessor, recorded, eosIds)
}

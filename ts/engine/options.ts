/**
 * Schemas of everything a caller hands to the engine. Unknown keys are refused, with the nearest known one:
 * a misspelt option that is silently dropped costs more than an error.
 */
import { totalmem } from 'node:os'
import { z } from 'zod'
import { ISAS } from '../contracts/isa.ts'
import { DEFAULT_MAX_PIXELS } from '../images/index.ts'

export const signal = z.instanceof(AbortSignal, { message: 'must be an AbortSignal' }).optional()
// WHY not z.instanceof: its type leaves out the Buffers that node:fs returns.
const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
export const image = z.union([z.string().min(1), bytes], {
  message: 'must be a path, a data URI or a Buffer',
})
/** `image` is short for one. */
export const pictures = { image: image.optional(), images: z.array(image).optional() }
const steps = z.array(z.string())
export const positive = z.number().int().positive()
export const MAX_THREADS = 1024
export const MAX_TILES = 1024
export const maxTiles = positive.max(MAX_TILES).optional()
// Native integers have 32 bits: what is larger would wrap around to another token or row.
export const index = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 31 - 1)

const DEFAULT_IMAGE_CACHE_BYTES = 256 * 2 ** 20
const DEFAULT_KV_SHARE = 0.25
const MAX_DEFAULT_KV_BYTES = 8 * 2 ** 30

/** A quarter of the memory this process may use; taken only as it is needed. */
export function defaultKvCacheBytes(): number {
  const available = Math.min(totalmem(), process.constrainedMemory?.() || Number.POSITIVE_INFINITY)
  return Math.min(Math.floor(available * DEFAULT_KV_SHARE), MAX_DEFAULT_KV_BYTES)
}

/** Weights read so far while an engine opens. */
export interface OpenProgress {
  doneBytes: number
  totalBytes: number
}

export const openSchema = z.strictObject({
  model: z.string().min(1),
  /** PEFT folders whose adapters are merged into the weights, in this order. */
  adapters: z.array(z.string().min(1)).default([]),
  weights: z.enum(['bf16', 'f32', 'int8', 'int4']).default('bf16'),
  /** `auto`: the first card that opens, else the CPU; `cuda:1` is the second card. `info().device` says which and why. */
  device: z
    .string()
    .regex(/^(?:auto|cpu|cuda(?::\d{1,3})?|emulated)$/, 'must be auto, cpu, cuda or cuda:N (the N-th card, from 0)')
    .default('cpu'),
  /** How the CPU computes; of no account on another device. */
  cpu: z
    .strictObject({
      threads: positive.max(MAX_THREADS).optional(),
      isa: z.enum(ISAS).optional(),
    })
    .default({}),
  scoring: z.string().min(1).default('auto'),
  /** Folder of the model that an implicit PRM was trained from, opened beside it in the same way. */
  reference: z.string().min(1).optional(),
  /** Scores at most so many parts of a solution, its neighbouring steps joined: each step has its part's score. VisualPRM: 12. */
  mergeSteps: positive.optional(),
  maxTiles,
  exifOrientation: z.enum(['ignore', 'apply']).default('ignore'),
  maxPixels: positive.default(DEFAULT_MAX_PIXELS),
  kvCacheBytes: positive.optional(),
  imageCacheBytes: positive.default(DEFAULT_IMAGE_CACHE_BYTES),
  onProgress: z.custom<(p: OpenProgress) => void>((f) => typeof f === 'function', 'must be a function').optional(),
  signal,
})

const scoreCommon = { question: z.string(), ...pictures, maxTiles, returnLogits: z.boolean().optional(), signal }
export const scoreOneSchema = z.strictObject({
  ...scoreCommon,
  steps: steps.min(1, { message: 'needs at least one step' }),
})
export const scoreManySchema = z.strictObject({
  ...scoreCommon,
  /** One without steps has no scores: candidates that were cut off or not parsed keep their place. */
  solutions: z.array(steps).min(1, { message: 'needs at least one solution' }),
})

export const logitsSchema = z.strictObject({
  tokens: z.array(index).min(1),
  ...pictures,
  maxTiles,
  rows: z.array(index).optional(),
  returnHidden: z.boolean().default(false),
  signal,
})

export const choicesSchema = z.object({
  /** Each one token as it stands, a leading blank included. */
  choices: z.array(z.string().min(1)).min(2, { message: 'needs two choices' }),
})

export const logprobsSchema = z.strictObject({
  tokens: z.array(index).min(2, { message: 'needs two tokens: the first has nothing before it' }),
  first: index.default(0),
  signal,
})

export const embedImageSchema = z.strictObject({ image, maxTiles, returnHidden: z.boolean().default(false), signal })

export type OpenOptions = z.input<typeof openSchema>
export type ScoreOneRequest = z.input<typeof scoreOneSchema>
export type ScoreManyRequest = z.input<typeof scoreManySchema>
export type LogitsRequest = z.input<typeof logitsSchema>
export type LogprobsRequest = z.input<typeof logprobsSchema>
export type EmbedImageRequest = z.input<typeof embedImageSchema>

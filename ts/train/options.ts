/** Options of a training run, in code, in a recipe file and on the command line alike. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { z } from 'zod'
import { invalidArgument } from '../contracts/errors.ts'
import { ISAS } from '../contracts/isa.ts'
import {
  HEAD_KINDS,
  type Preference,
  TRAIN_LOSSES,
  type TrainHead,
  type TrainLoss,
  type TrainSample,
} from '../contracts/trainer.ts'
import { validate } from '../contracts/validate.ts'
import { SCHEDULES } from './schedule.ts'

/** Samples by index: a file, or a generator that makes sample i whenever it is asked for. */
export interface Dataset {
  readonly size: number
  /** What the data is, for a resumed run to compare. */
  readonly fingerprint: string
  /** The same of pictures in files of their own. */
  readonly pictures?: string
  at(index: number): TrainSample | Promise<TrainSample>
}

export interface TrainProgress {
  step: number
  totalSteps: number
  loss: number
  accuracy: number
  learningRate: number
  gradNorm: number
  samplesPerSecond: number
  tokensPerSecond: number
  evalLoss: number | undefined
}

const positive = z.number().positive()
const count = z.number().int().positive()
const share = z.number().min(0).max(1)
const dataset = z.custom<Dataset>(
  (d) => typeof d === 'object' && d !== null && 'size' in d && 'at' in d && 'fingerprint' in d,
  'must be a path or { size, fingerprint, at }',
)
const source = z.union([z.string().min(1), dataset])
/** One source, or several; those without a weight have 1. */
const data = z.union([
  source,
  z
    .array(z.union([source, z.strictObject({ data: source, weight: positive.default(1) })]))
    .min(1)
    .readonly(),
])

const lora = z.strictObject({ rank: count, alpha: positive, targets: z.array(z.string().min(1)).min(1).readonly() })

const ensemble = z.strictObject({
  kind: z.literal('ensemble'),
  heads: count.max(1024).optional(),
  width: count.max(65535).optional(),
  anchor: z.number().nonnegative().optional(),
})
const otherHead = z.strictObject({ kind: z.enum(HEAD_KINDS).exclude(['ensemble']) })
/** By its name, or with options. */
const head = z.union([
  z.enum(HEAD_KINDS).transform((kind): TrainHead => ({ kind })),
  z.discriminatedUnion('kind', [otherHead, ensemble]),
])

/** What a recipe file may hold: everything but folders, data and callbacks. */
export const recipeSchema = z.strictObject({
  epochs: positive.default(1),
  /** Ends the run before its epochs do. */
  maxSteps: count.optional(),
  /** Samples of one optimizer step. */
  batchSize: count.default(32),
  /** Tokens computed at once; a batch of more is cut into micro-batches, whose gradients are added up. */
  microBatchTokens: count.default(4096),
  /** `batch`: mean over all weights of the batch; `micro-batch`: mean of the micro-batches' means, as the reference. */
  averageOver: z.enum(['batch', 'micro-batch']).default('batch'),
  learningRate: positive.default(4e-6),
  schedule: z.enum(SCHEDULES).default('cosine'),
  /** Share of all steps, or… */
  warmupRatio: share.default(0.03),
  /** …steps themselves. */
  warmupSteps: z.number().int().nonnegative().optional(),
  weightDecay: z.number().nonnegative().default(0.05),
  /** `all`: on norms and biases too, as the reference; `matrices`: as transformers. */
  decay: z.enum(['all', 'matrices']).default('all'),
  beta1: share.default(0.9),
  beta2: share.default(0.999),
  eps: positive.default(1e-8),
  /** Global norm that gradients are clipped to; 0: not at all. */
  clip: z.number().nonnegative().default(1),
  freeze: z
    .array(z.enum(['vision', 'projector', 'language']))
    .readonly()
    .default(['vision']),
  lora: lora.optional(),
  /** `merged`: adapters become part of the weights; `adapters`: PEFT's files beside the untouched base. */
  saveLora: z.enum(['merged', 'adapters']).default('merged'),
  compute: z.enum(['bf16', 'f32']).default('bf16'),
  /** Type of the saved weights. */
  dtype: z.enum(['bf16', 'f32']).default('bf16'),
  /** Activation checkpointing: less memory, about a third more time. */
  recompute: z.boolean().default(false),
  /** prm: the reward head; absent, what the checkpoint has, which may be two pieces of its vocabulary. */
  head: head.optional(),
  /** rank: what pairs of siblings count beside the values of their steps; 0.5 where absent. */
  rankWeight: positive.optional(),
  /** rank: labels of a pair differ by as much at least; 0.1 where absent. */
  rankMargin: share.optional(),
  /** The prompt, by its template's name; of a model with a reward head by the scoring family's. */
  template: z.string().min(1).optional(),
  maxTiles: count.optional(),
  /**
   * policy: `dpo` learns from pairs of answers; absent: next-token cross-entropy. prm: `cross-entropy` of two pieces or classes, `bce` of
   * heads of one output, or `rank`, which adds to it; absent: what fits the head.
   */
  loss: z.enum(TRAIN_LOSSES).optional(),
  /** dpo: how much a log-ratio counts; 0.1 where absent. */
  beta: positive.optional(),
  /** dpo: share of the pairs that are taken to be the wrong way round; 0 where absent. */
  labelSmoothing: z.number().nonnegative().lt(0.5).optional(),
  /** dpo: weight of the preferred answer's own mean cross-entropy, which is added; 0 where absent. */
  chosenWeight: z.number().nonnegative().optional(),
  lossWeight: z.enum(['token', 'sample', 'square']).default('token'),
  /** prm: paths of one problem stay in one batch and are computed as one tree. */
  groupPaths: z.boolean().default(true),
  /** Longest sample in tokens; the model's own limit where absent. */
  maxTokens: count.optional(),
  /** `skip`: samples that are longer are left out and counted. */
  longSamples: z.enum(['skip', 'error']).default('skip'),
  badLines: z.enum(['skip', 'error']).default('error'),
  /** Share of the problems held out for evaluation. */
  evalFraction: share.default(0),
  /** Steps between evaluations, the last step being one; an epoch's where absent. */
  evalEvery: count.optional(),
  /** Evaluations without a better loss after which the run ends. */
  patience: count.optional(),
  /** Steps between checkpoints; the last step is one too. */
  checkpointEvery: count.default(500),
  keepCheckpoints: count.default(2),
  seed: z.number().int().nonnegative().default(0),
  /** `cpu`, or `auto` for what trains; cards do not yet, and are refused by name. */
  device: z.string().min(1).default('cpu'),
  /** Instruction set of the processor, whose sums decide the last bits. Absent: the best. */
  isa: z.enum(ISAS).optional(),
  threads: count.optional(),
})

export const trainSchema = recipeSchema.extend({
  task: z.enum(['policy', 'prm']),
  init: z.string().min(1),
  data,
  evalData: source.optional(),
  out: z.string().min(1),
  resume: z.boolean().default(false),
  onProgress: z.custom<(p: TrainProgress) => void>((f) => typeof f === 'function', 'must be a function').optional(),
  /** dpo: how far the untrained model is with the pairs that it has not seen yet. */
  onReference: z
    .custom<(p: { done: number; total: number }) => void>((f) => typeof f === 'function', 'must be a function')
    .optional(),
  /** What a resumed run found wrong and did without, such as a damaged checkpoint. */
  onWarning: z.custom<(warning: string) => void>((f) => typeof f === 'function', 'must be a function').optional(),
  signal: z.instanceof(AbortSignal, { message: 'must be an AbortSignal' }).optional(),
})

export type Recipe = z.input<typeof recipeSchema>
export type TrainOptions = z.input<typeof trainSchema>
export type ParsedTrainOptions = z.output<typeof trainSchema>
/** Where samples come from: several sources give theirs by weight. */
export type Source = ParsedTrainOptions['data']

/** Of a run that learns from pairs. */
export function preferenceOf({ loss, beta, labelSmoothing, chosenWeight }: ParsedTrainOptions): Preference | undefined {
  if (loss !== 'dpo') return undefined
  return { beta: beta ?? 0.1, labelSmoothing: labelSmoothing ?? 0, chosenWeight: chosenWeight ?? 0 }
}

/** Of a run that learns from labelled steps; undefined: what fits its head. */
export function lossOf({ loss, rankWeight, rankMargin }: ParsedTrainOptions): TrainLoss | undefined {
  if (loss === 'rank') return { kind: loss, weight: rankWeight ?? 0.5, margin: rankMargin ?? 0.1 }
  return loss === undefined || loss === 'dpo' ? undefined : { kind: loss }
}

/** @throws EngineError INVALID_ARGUMENT naming the option */
export function parseTrainOptions(options: TrainOptions): ParsedTrainOptions {
  const parsed = validate(trainSchema, options, 'train')
  const evaluates = parsed.evalFraction > 0 || parsed.evalData !== undefined
  for (const key of ['evalEvery', 'patience'] as const) {
    if (parsed[key] !== undefined && !evaluates) throw invalidArgument(`train: ${key} needs evalData or evalFraction`)
  }
  if (parsed.loss === 'dpo' && parsed.task !== 'policy') {
    throw invalidArgument(`train: loss "dpo" trains a policy, not a ${parsed.task}: the task must be "policy"`)
  }
  for (const key of ['beta', 'labelSmoothing', 'chosenWeight'] as const) {
    if (parsed[key] !== undefined && parsed.loss !== 'dpo') throw invalidArgument(`train: ${key} needs loss "dpo"`)
  }
  if (parsed.saveLora === 'adapters' && !parsed.lora) {
    throw invalidArgument('train: saveLora "adapters" needs lora: there are no adapters without it')
  }
  if (parsed.task === 'policy' && parsed.head) throw invalidArgument('train: head is for task prm: a policy learns its tokens')
  if (parsed.task === 'policy' && lossOf(parsed))
    throw invalidArgument(`train: loss "${parsed.loss}" is for task prm: a policy takes "dpo" or none`)
  for (const key of ['rankWeight', 'rankMargin'] as const) {
    if (parsed[key] !== undefined && parsed.loss !== 'rank') throw invalidArgument(`train: ${key} needs loss "rank"`)
  }
  if (resolve(parsed.init) === resolve(parsed.out)) {
    throw invalidArgument(`train: out is the folder of init, ${parsed.init}; the result needs one of its own`)
  }
  return parsed
}

/** A JSON file of recipe options. @throws EngineError INVALID_ARGUMENT naming file and option */
export async function readRecipe(path: string): Promise<Recipe> {
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw invalidArgument(`recipe ${path}: ${error.message}`, error)
  })
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    throw invalidArgument(`recipe ${path}: ${(error as Error).message}`, error)
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw invalidArgument(`recipe ${path}: a JSON object of options is expected`)
  }
  validate(recipeSchema, json, `recipe ${path}`)
  return json as Recipe
}

type Content = { readonly fingerprint: string; readonly pictures?: string | undefined }

/** What decides the weights that come out: a resumed run must agree in all of it. Data count by content, not by path. */
export function identityOf(o: ParsedTrainOptions, dataset: Content, evalSet: Content | undefined): Record<string, unknown> {
  const { data, evalData, out, resume, onProgress, onReference, onWarning, signal, ...recipe } = o
  const { device, isa, threads, keepCheckpoints, checkpointEvery, ...deciding } = recipe
  const fingerprints = { fingerprint: dataset.fingerprint, evalFingerprint: evalSet?.fingerprint }
  const identity = { ...deciding, ...fingerprints, pictures: dataset.pictures, evalPictures: evalSet?.pictures }
  return JSON.parse(JSON.stringify(identity)) as Record<string, unknown>
}

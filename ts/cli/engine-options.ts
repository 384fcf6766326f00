/** Options of every command that opens a checkpoint folder, and the line that shows how far that is. */
import { ISAS } from '../contracts/isa.ts'
import { CRITIC_NAMES, type CriticOptions, isCriticName, MAX_JUDGEMENTS } from '../critics/index.ts'
import type { Engine } from '../engine/engine.ts'
import { MAX_THREADS, MAX_TILES, type OpenOptions } from '../engine/options.ts'
import { oneOf, positiveInteger, UsageError } from './command.ts'
import { Progress } from './progress.ts'

export const ENGINE_OPTIONS = {
  dtype: { type: 'string' },
  weights: { type: 'string' },
  device: { type: 'string' },
  threads: { type: 'string' },
  isa: { type: 'string' },
  'max-tiles': { type: 'string' },
} as const

const USAGE = [
  ['--dtype TYPE', 'weights as f32, bf16, int8 or int4 (default bf16); --weights is the same'],
  ['--device NAME', 'auto, cpu, cuda or cuda:N (default cpu)'],
  ['--threads N', 'of the CPU (default: one per usable core)'],
  ['--isa NAME', 'instruction set of the CPU (default: the best)'],
  ['--max-tiles N', "tiles per image at most (default: as the checkpoint's config says)"],
] as const

/** What --help says of them; `width` is that of a command's own column of options. */
export const engineUsage = (width: number) => USAGE.map(([option, text]) => `  ${option.padEnd(width)} ${text}`).join('\n')

export type EngineValues = { [K in keyof typeof ENGINE_OPTIONS]?: string | undefined }

/** Of commands that open the model of --model, or a process reward model beside it. */
export const ADAPTER_OPTIONS = { adapter: { type: 'string', multiple: true } } as const
export const PRM_ADAPTER_OPTIONS = { 'prm-adapter': { type: 'string', multiple: true } } as const
const ADAPTER_TEXT = 'PEFT folder that is merged into it; may be given more than once'
export const adapterUsage = (width: number) => `  ${'--adapter DIR'.padEnd(width)} ${ADAPTER_TEXT}`
export const prmAdapterUsage = (width: number) => `  ${'--prm-adapter DIR'.padEnd(width)} ${ADAPTER_TEXT}`

/** Of commands that score: how a checkpoint is read. */
export const SCORING_OPTIONS = {
  scoring: { type: 'string' },
  reference: { type: 'string' },
  'merge-steps': { type: 'string' },
} as const
export const scoringUsage = (width: number) =>
  [
    ['--scoring NAME', 'its scoring family (default: what the checkpoint says or shows)'],
    ['--reference DIR', 'model that an implicit PRM was trained from (--scoring implicit)'],
    ['--merge-steps N', 'score at most N parts of a solution, neighbouring steps joined (visualprm: 12 as published)'],
  ]
    .map(([option = '', text]) => `  ${option.padEnd(width)} ${text}`)
    .join('\n')

/** Of commands whose scorer may be a judge in words. */
export const CRITIC_OPTIONS = {
  'prm-model': { type: 'string' },
  judgements: { type: 'string' },
  'judgement-tokens': { type: 'string' },
  'run-code': { type: 'boolean' },
  'own-solution': { type: 'boolean' },
} as const
export const criticUsage = (width: number) =>
  [
    ['', `of a model that judges in words (--scoring ${CRITIC_NAMES.join(', ')}):`],
    ['--prm-model NAME', 'its name on an OpenAI-compatible server, where the scorer is that URL'],
    ['--judgements N', 'judgements whose mean is a score (default: as published)'],
    ['--judgement-tokens N', 'tokens of each (default: as published)'],
    ['--own-solution', 'critique: it solves the problem first, and has its own solution beside the one that it judges'],
    ['--run-code', 'genprm: run the code that it writes, in a sandbox (Linux, python3); without it none is run'],
  ]
    .map(([option = '', text]) => `  ${option.padEnd(width)} ${text}`)
    .join('\n')

export type CriticValues = { [K in Exclude<keyof typeof CRITIC_OPTIONS, 'run-code' | 'own-solution'>]?: string | undefined } & {
  'run-code'?: boolean | undefined
  'own-solution'?: boolean | undefined
  scoring?: string | undefined
  'merge-steps'?: string | undefined
}
export type Judging = { scoring: string } & CriticOptions & { runCode?: boolean }

/** Of a judge in words, as `kit.openScorer` takes them; undefined for another scorer. @throws UsageError for their flags with it */
export function readCritic(values: CriticValues): Judging | undefined {
  const { scoring } = values
  if (scoring === undefined || !isCriticName(scoring)) {
    const flag = (Object.keys(CRITIC_OPTIONS) as (keyof CriticValues)[]).find((name) => values[name] !== undefined)
    if (flag) throw new UsageError(`--${flag} is for a judge in words: --scoring ${CRITIC_NAMES.join(', ')}`)
    return undefined
  }
  if (values['merge-steps'] !== undefined)
    throw new UsageError(`--merge-steps is for a process reward model: ${scoring} judges in words, step by step`)
  const judgements = positiveInteger(values.judgements, 'judgements', MAX_JUDGEMENTS)
  const judgementTokens = positiveInteger(values['judgement-tokens'], 'judgement-tokens')
  const flags = { ...(values['run-code'] && { runCode: true }), ...(values['own-solution'] && { ownSolution: true }) }
  return { scoring, ...(judgements && { judgements }), ...(judgementTokens && { judgementTokens }), ...flags }
}

type ScoringValues = { [K in keyof typeof SCORING_OPTIONS]?: string | undefined }

/** As `Engine.open` takes them. */
export function readScoring(values: ScoringValues) {
  const { scoring, reference } = values
  const mergeSteps = positiveInteger(values['merge-steps'], 'merge-steps')
  return {
    ...(scoring !== undefined && { scoring }),
    ...(reference !== undefined && { reference }),
    ...(mergeSteps !== undefined && { mergeSteps }),
  }
}

/** The first of them that was given. */
export function givenScoringOption(values: ScoringValues): string | undefined {
  return (Object.keys(SCORING_OPTIONS) as (keyof ScoringValues)[]).find((name) => values[name] !== undefined)
}

/** Folders as `Engine.open` takes them. */
export function readAdapters(folders: readonly string[] | undefined): { adapters?: string[] } {
  return folders ? { adapters: [...folders] } : {}
}

const NAMES = Object.keys(ENGINE_OPTIONS) as (keyof EngineValues)[]

/** The first of them that was given. */
export function givenEngineOption(values: EngineValues): string | undefined {
  return NAMES.find((name) => values[name] !== undefined)
}

export function readEngineOptions(values: EngineValues): Omit<OpenOptions, 'model'> {
  const { dtype, weights } = values
  if (dtype !== undefined && weights !== undefined && dtype !== weights) {
    throw new UsageError(`--weights is --dtype, but they say ${weights} and ${dtype}`)
  }
  const type = oneOf(dtype ?? weights, dtype === undefined ? 'weights' : 'dtype', ['f32', 'bf16', 'int8', 'int4'])
  const threads = positiveInteger(values.threads, 'threads', MAX_THREADS)
  const isa = oneOf(values.isa, 'isa', ISAS)
  const maxTiles = positiveInteger(values['max-tiles'], 'max-tiles', MAX_TILES)
  const { device } = values
  if (device !== undefined && !/^(?:auto|cpu|cuda(?::\d{1,3})?|emulated)$/.test(device)) {
    throw new UsageError(`--device must be auto, cpu, cuda or cuda:N, got "${device}"`)
  }
  const cpu = { ...(threads && { threads }), ...(isa && { isa }) }
  return {
    ...(type && { weights: type }),
    ...(device && { device }),
    ...(Object.keys(cpu).length > 0 && { cpu }),
    ...(maxTiles && { maxTiles }),
  }
}

/** Opens a model with its progress shown; one on a server opens without a word. */
export async function shown<T extends { readonly engine?: Engine }>(
  open: (onProgress: NonNullable<OpenOptions['onProgress']>) => Promise<T>,
): Promise<T> {
  const progress = new Progress('opening')
  const result = await open(({ doneBytes, totalBytes }) =>
    progress.update(`${(doneBytes / 1e6).toFixed(0)} MB`, doneBytes / totalBytes),
  )
  const { architecture, scoring, scoringReason } = result.engine?.info() ?? {}
  if (architecture) progress.finish(scoring ? `${architecture}, ${scoring} (${scoringReason})` : architecture)
  return result
}

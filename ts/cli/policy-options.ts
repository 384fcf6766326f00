/** Options of commands that need a policy: the package's own engine on a checkpoint, or a server. */
import { readFileSync } from 'node:fs'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import type { Policy } from '../contracts/policy.ts'
import { readCheckpointFolder } from '../engine/checkpoint.ts'
import { checkpointHash } from '../engine/checkpoint-hash.ts'
import { Engine } from '../engine/engine.ts'
import { FAMILY_NAMES } from '../engine/families/index.ts'
import { MAX_THREADS } from '../engine/options.ts'
import { defaultRolloutTemplate } from '../engine/prompt.ts'
import { nativePolicy } from '../policy/native.ts'
import { openAiPolicy } from '../policy/openai.ts'
import { nativeScorer } from '../policy/scorer.ts'
import { numberIn, oneOf, positiveInteger, required, UsageError } from './command.ts'
import { Progress } from './progress.ts'

export const POLICY_OPTIONS = {
  policy: { type: 'string' },
  model: { type: 'string' },
  endpoint: { type: 'string' },
  'api-key-file': { type: 'string' },
  concurrency: { type: 'string' },
  timeout: { type: 'string' },
  template: { type: 'string' },
  temperature: { type: 'string' },
  'top-k': { type: 'string' },
  'top-p': { type: 'string' },
  'repetition-penalty': { type: 'string' },
  'max-tokens': { type: 'string' },
  dtype: { type: 'string' },
  threads: { type: 'string' },
} as const

export const POLICY_USAGE = `  --policy native|openai   the package's engine, or an OpenAI-compatible server (default native)
  --model DIR|NAME         checkpoint folder, or the model's name on the server
  --endpoint URL           of the server, up to and including /v1
  --api-key-file FILE      file that holds the server's key
  --concurrency N          requests to the server at once (default 16)
  --timeout SECONDS        for one answer of the server (default 600)
  --template NAME          mm-prm-v1, prefill, or instruct for a server's untrained model
                           (default: the checkpoint's own; mm-prm-v1 for a server)
  --temperature T          (default 1)      --top-k K   0 is off (default 50)
  --top-p P                (default 0.9)    --repetition-penalty R   (default 1.05)
  --max-tokens M           per rollout (default 4096)
  --dtype f32|bf16         precision of the weights (default bf16)
  --threads N              (default: one per usable core)`

type Values = { [K in keyof typeof POLICY_OPTIONS]?: string | undefined }

export interface OpenedPolicy {
  readonly policy: Policy
  /** Rollouts of so many problems keep it busy. */
  readonly inFlight: number
  close(): Promise<void>
}

/** Sampling as asked for; what is absent takes the policy's default. */
function readSampling(values: Values) {
  const given = {
    temperature: numberIn(values.temperature, 'temperature', { min: 0 }),
    topK: numberIn(values['top-k'], 'top-k', { min: 0, whole: true }),
    topP: numberIn(values['top-p'], 'top-p', { above: 0, max: 1 }),
    repetitionPenalty: numberIn(values['repetition-penalty'], 'repetition-penalty', { above: 0 }),
    maxTokens: positiveInteger(values['max-tokens'], 'max-tokens'),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

export function openPolicy(values: Values): Promise<OpenedPolicy> {
  const kind = oneOf(values.policy, 'policy', ['native', 'openai']) ?? 'native'
  return kind === 'native' ? openNative(values) : openServer(values)
}

export function readApiKey(path: string | undefined): { apiKey?: string } {
  if (path === undefined) return {}
  try {
    return { apiKey: readFileSync(path, 'utf8').trim() }
  } catch (error) {
    throw invalidArgument(`--api-key-file ${path}: ${(error as Error).message}`, error)
  }
}

async function openServer(values: Values): Promise<OpenedPolicy> {
  for (const name of ['dtype', 'threads'] as const) {
    if (values[name] !== undefined) throw new UsageError(`--${name} is for --policy native`)
  }
  const concurrency = positiveInteger(values.concurrency, 'concurrency') ?? 16
  const seconds = numberIn(values.timeout, 'timeout', { above: 0 })
  const policy = openAiPolicy({
    baseUrl: required(values.endpoint, 'endpoint'),
    model: required(values.model, 'model'),
    concurrency,
    sampling: readSampling(values),
    ...readApiKey(values['api-key-file']),
    ...(seconds !== undefined && { timeoutMs: seconds * 1000 }),
    ...(values.template !== undefined && { template: values.template }),
  })
  return { policy, inFlight: concurrency, close: async () => {} }
}

const NATIVE_IN_FLIGHT = 8

async function openNative(values: Values): Promise<OpenedPolicy> {
  for (const name of ['endpoint', 'api-key-file', 'concurrency', 'timeout'] as const) {
    if (values[name] !== undefined) throw new UsageError(`--${name} is for --policy openai`)
  }
  const model = required(values.model, 'model')
  const engine = await openEngine(model, values)
  const { recorded } = await readCheckpointFolder(model)
  const template = values.template ?? defaultRolloutTemplate(recorded)
  const options = { model, modelHash: checkpointHash(model), template, sampling: readSampling(values) }
  try {
    const policy = nativePolicy(engine, options as Parameters<typeof nativePolicy>[1])
    return { policy, inFlight: NATIVE_IN_FLIGHT, close: () => engine.close() }
  } catch (error) {
    await engine.close()
    throw error
  }
}

/** Opens a checkpoint with its progress shown. */
export async function openEngine(model: string, values: Pick<Values, 'dtype' | 'threads'>, scoring = 'auto'): Promise<Engine> {
  const threads = positiveInteger(values.threads, 'threads', MAX_THREADS)
  const weights = oneOf(values.dtype, 'dtype', ['f32', 'bf16'])
  const progress = new Progress('opening')
  const engine = await Engine.open({
    ...{ model, scoring },
    ...(weights && { weights }),
    ...(threads && { threads }),
    onProgress: ({ doneBytes, totalBytes }) => progress.update(`${(doneBytes / 1e6).toFixed(0)} MB`, doneBytes / totalBytes),
  })
  progress.finish(engine.info().architecture)
  return engine
}

/**
 * A process reward model as the scorer of a search.
 * @throws EngineError UNSUPPORTED_MODEL: no PRM, or one that does not tell its scoring family and `scoring` is absent
 */
export async function openScorer(model: string, values: Pick<Values, 'dtype' | 'threads'> & { scoring?: string | undefined }) {
  const engine = await openEngine(model, values, values.scoring)
  const { scoring } = engine.info()
  if (scoring === null) {
    await engine.close()
    const what = 'its files do not tell how it scores steps; name the scoring family with --scoring'
    throw new EngineError('ERR_ENGINE_UNSUPPORTED_MODEL', `${model}: ${what}: ${FAMILY_NAMES.join(', ')}`)
  }
  return { scorer: nativeScorer(engine, `${scoring}@${checkpointHash(model)}`), close: () => engine.close() }
}

/** Options of commands that verify answers: rules, and where these cannot decide, a model as judge if one is given. */

import type { AskJudge, Verifier } from '../contracts/verifier.ts'
import { checkpointHash } from '../engine/checkpoint-hash.ts'
import { chatJudge, engineJudge } from '../policy/judge.ts'
import { ruleVerifier } from '../verify/index.ts'
import { UsageError } from './command.ts'
import { openEngine, readApiKey } from './policy-options.ts'

export const JUDGE_OPTIONS = {
  'judge-model': { type: 'string' },
  'judge-endpoint': { type: 'string' },
} as const

export const JUDGE_USAGE = `  --judge-model DIR|NAME   judges answers the rules cannot decide: a checkpoint folder, or a model's name on
  --judge-endpoint URL     an OpenAI-compatible server, up to and including /v1`

type Values = { [K in keyof typeof JUDGE_OPTIONS | 'api-key-file' | 'dtype' | 'threads']?: string | undefined }

export interface OpenedVerifier {
  readonly verifier: Verifier
  close(): Promise<void>
}

export interface OpenedJudge {
  readonly ask: AskJudge
  /** Recorded: another judge makes another run. */
  readonly name: string
  close(): Promise<void>
}

/** undefined where no judge is asked for. */
export async function openJudge(values: Values): Promise<OpenedJudge | undefined> {
  const { 'judge-model': model, 'judge-endpoint': baseUrl } = values
  if (model === undefined) {
    if (baseUrl !== undefined) throw new UsageError('--judge-endpoint needs --judge-model')
    return undefined
  }
  if (baseUrl !== undefined) {
    return { ask: chatJudge({ baseUrl, model, ...readApiKey(values['api-key-file']) }), name: model, close: async () => {} }
  }
  const engine = await openEngine(model, values)
  return { ask: engineJudge(engine), name: checkpointHash(model), close: () => engine.close() }
}

export async function openVerifier(values: Values): Promise<OpenedVerifier> {
  const judge = await openJudge(values)
  if (!judge) return { verifier: ruleVerifier(), close: async () => {} }
  const { ask, name, close } = judge
  return { verifier: ruleVerifier({ judge: { ask, name } }), close }
}

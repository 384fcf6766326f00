/** Options of commands that verify answers: rules, and where these cannot decide, a model as judge if one is given. */
import {
  type OpenedJudge,
  type OpenedVerifier,
  openJudge as openKitJudge,
  openVerifier as openKitVerifier,
} from '../kit/index.ts'
import { UsageError } from './command.ts'
import { type EngineValues, readEngineOptions, shown } from './engine-options.ts'
import { readApiKey } from './policy-options.ts'

export const JUDGE_OPTIONS = {
  'judge-model': { type: 'string' },
  'judge-endpoint': { type: 'string' },
} as const

export const JUDGE_USAGE = `  --judge-model DIR|NAME   judges answers the rules cannot decide: a checkpoint folder, or a model's name on
  --judge-endpoint URL     an OpenAI-compatible server, up to and including /v1`

type Values = EngineValues & { [K in keyof typeof JUDGE_OPTIONS | 'api-key-file']?: string | undefined }

/** Where the judge is; undefined where none is asked for. */
function readJudge(values: Values) {
  const { 'judge-model': model, 'judge-endpoint': server } = values
  if (model !== undefined) {
    return server === undefined
      ? { model, ...readEngineOptions(values) }
      : { model, server, ...readApiKey(values['api-key-file']) }
  }
  if (server !== undefined) throw new UsageError('--judge-endpoint needs --judge-model')
  return undefined
}

/** undefined where no judge is asked for. @throws EngineError as `kit.openJudge` */
export async function openJudge(values: Values): Promise<OpenedJudge | undefined> {
  const judge = readJudge(values)
  return judge && shown((onProgress) => openKitJudge('server' in judge ? judge : { ...judge, onProgress }))
}

/** @throws EngineError as `kit.openVerifier` */
export function openVerifier(values: Values): Promise<OpenedVerifier> {
  const judge = readJudge(values)
  if (!judge) return openKitVerifier()
  return shown((onProgress) => openKitVerifier('server' in judge ? judge : { ...judge, onProgress }))
}

/** Options of commands that verify answers: rules, and where these cannot decide, a model as judge if one is given. */
import {
  type OpenedJudge,
  type OpenedVerifier,
  openJudge as openKitJudge,
  openVerifier as openKitVerifier,
} from '../kit/index.ts'
import { positiveInteger, UsageError } from './command.ts'
import { type EngineValues, readEngineOptions, shown } from './engine-options.ts'
import { modelFolder } from './hub-model.ts'
import { readApiKey } from './policy-options.ts'

export const JUDGE_OPTIONS = {
  'judge-model': { type: 'string' },
  'judge-endpoint': { type: 'string' },
  'judge-max-tokens': { type: 'string' },
} as const

export const JUDGE_USAGE = `  --judge-model DIR|NAME   judges answers the rules cannot decide: a checkpoint folder, or a model's name on
  --judge-endpoint URL     an OpenAI-compatible server, up to and including /v1
  --judge-max-tokens N     tokens of its reply, with what it reasons first (default 4096)`

type Values = EngineValues & { [K in keyof typeof JUDGE_OPTIONS | 'api-key-file']?: string | undefined }

/** Where the judge is; undefined where none is asked for. */
async function readJudge(values: Values) {
  const { 'judge-model': model, 'judge-endpoint': server } = values
  const maxTokens = positiveInteger(values['judge-max-tokens'], 'judge-max-tokens')
  if (model !== undefined) {
    const asking = { model, ...(maxTokens !== undefined && { maxTokens }) }
    return server === undefined
      ? { ...asking, model: await modelFolder(model), ...readEngineOptions(values) }
      : { ...asking, server, ...readApiKey(values['api-key-file']) }
  }
  const alone = (['judge-endpoint', 'judge-max-tokens'] as const).find((name) => values[name] !== undefined)
  if (alone) throw new UsageError(`--${alone} needs --judge-model`)
  return undefined
}

/** undefined where no judge is asked for. @throws EngineError as `kit.openJudge` */
export async function openJudge(values: Values): Promise<OpenedJudge | undefined> {
  const judge = await readJudge(values)
  return judge && shown((onProgress) => openKitJudge('server' in judge ? judge : { ...judge, onProgress }))
}

/** @throws EngineError as `kit.openVerifier` */
export async function openVerifier(values: Values): Promise<OpenedVerifier> {
  const judge = await readJudge(values)
  if (!judge) return openKitVerifier()
  return shown((onProgress) => openKitVerifier('server' in judge ? judge : { ...judge, onProgress }))
}

/** Options of commands that verify answers: rules, and where these cannot decide, a model as judge if one is given. */
import {
  type OpenedCritic,
  type OpenedJudge,
  type OpenedVerifier,
  openCritic,
  openJudge as openKitJudge,
  openVerifier as openKitVerifier,
  VERIFIER_NAMES,
} from '../kit/index.ts'
import { oneOf, positiveInteger, required, UsageError } from './command.ts'
import { type EngineValues, readEngineOptions, shown } from './engine-options.ts'
import { modelFolder } from './hub-model.ts'
import { readApiKey } from './policy-options.ts'

export const JUDGE_OPTIONS = {
  'judge-model': { type: 'string' },
  'judge-endpoint': { type: 'string' },
  'judge-max-tokens': { type: 'string' },
} as const

/** Of commands that search: what an answer is checked by. */
export const VERIFIER_OPTIONS = { verifier: { type: 'string' }, databases: { type: 'string' } } as const
export const VERIFIER_USAGE = `  --verifier NAME          rules (default), or sql: a query is right where it gives the rows of the problem's own
  --databases DIR          sql: SQLite files, DB_ID.sqlite or DB_ID/DB_ID.sqlite by the problems' column db_id`

export const JUDGE_USAGE = `  --judge-model DIR|NAME   judges answers the rules cannot decide: a checkpoint folder, or a model's name on
  --judge-endpoint URL     an OpenAI-compatible server, up to and including /v1
  --judge-max-tokens N     tokens of its reply, with what it reasons first (default 4096)`

type VerifierValues = { [K in keyof typeof VERIFIER_OPTIONS]?: string | undefined } & { observe?: boolean | undefined }
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

/** The judge's model as a critic, to be asked for whole analyses. @throws UsageError where none is named; EngineError as `kit.openCritic` */
export async function openTeacher(values: Values): Promise<{ critic: OpenedCritic; maxTokens: number | undefined }> {
  required(values['judge-model'], 'judge-model')
  const { maxTokens, ...model } = (await readJudge(values)) as NonNullable<Awaited<ReturnType<typeof readJudge>>>
  const critic = await shown((onProgress) => openCritic('server' in model ? model : { ...model, onProgress }))
  return { critic, maxTokens }
}

/** @throws EngineError as `kit.openVerifier` */
export async function openVerifier(values: Values & VerifierValues): Promise<OpenedVerifier> {
  const { databases, observe } = values
  if (oneOf(values.verifier, 'verifier', VERIFIER_NAMES) === 'sql')
    return openKitVerifier({ verifier: 'sql', databases: required(databases, 'databases') })
  if (databases !== undefined && !observe) throw new UsageError('--databases is for --verifier sql')
  const judge = await readJudge(values)
  if (!judge) return openKitVerifier()
  return shown((onProgress) => openKitVerifier('server' in judge ? judge : { ...judge, onProgress }))
}

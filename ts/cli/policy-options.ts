/** Options of commands that need a policy: the package's own engine on a checkpoint, or a server. */
import { readFileSync } from 'node:fs'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import { CRITIC_NAMES, isCriticName } from '../critics/index.ts'
import type { Engine } from '../engine/engine.ts'
import {
  isModulePath,
  type OpenedPolicy,
  type OpenedScorer,
  openPolicy as openKitPolicy,
  openScorer as openKitScorer,
  openObservingScorer,
  type PolicyOptions,
} from '../kit/index.ts'
import { numberIn, oneOf, positiveInteger, required, UsageError } from './command.ts'
import {
  ADAPTER_OPTIONS,
  adapterUsage,
  type CriticValues,
  ENGINE_OPTIONS,
  type EngineValues,
  engineUsage,
  givenEngineOption,
  givenScoringOption,
  readAdapters,
  readCritic,
  readEngineOptions,
  readScoring,
  shown,
} from './engine-options.ts'
import { withFolders } from './hub-model.ts'
import { readSampling, SAMPLING_OPTIONS, SAMPLING_USAGE } from './sampling-options.ts'
import { readTemplateVariables, TEMPLATE_VARIABLE_OPTIONS, TEMPLATE_VARIABLE_USAGE } from './template-variables.ts'

export const POLICY_OPTIONS = {
  policy: { type: 'string' },
  model: { type: 'string' },
  endpoint: { type: 'string', multiple: true },
  'api-key-file': { type: 'string' },
  concurrency: { type: 'string' },
  rate: { type: 'string' },
  timeout: { type: 'string' },
  'samples-per-request': { type: 'string' },
  template: { type: 'string' },
  steps: { type: 'string' },
  ...TEMPLATE_VARIABLE_OPTIONS,
  ...SAMPLING_OPTIONS,
  ...ADAPTER_OPTIONS,
  ...ENGINE_OPTIONS,
} as const

export const POLICY_USAGE = `  --policy native|openai   the package's engine, or an OpenAI-compatible server (default native)
  --model DIR|NAME         checkpoint folder, org/name[@revision] on a hub, or the model's name on the server
${adapterUsage(24)}
  --endpoint URL           of the server, up to and including /v1; several times: each problem goes to one of them, and to
                           another while that one cannot be reached
  --api-key-file FILE      file that holds the server's key
  --concurrency N          requests to each server at once (default 16)
  --rate N                 requests to each server in a second, at most
  --timeout SECONDS        for one answer of the server (default 600)
  --samples-per-request N  asked of the server at once, where it gives several (default 16)
  --template NAME          mm-prm-v1, prefill, or instruct for a server's untrained model
                           (default: the checkpoint's own; mm-prm-v1 for a server)
  --steps NAME             of a policy that writes no tags: blank-line, line, step-n, heading, cte (a query) or
                           regex:PATTERN, with /K behind it for at most K steps; it is asked with template plain
${TEMPLATE_VARIABLE_USAGE}
${SAMPLING_USAGE}
${engineUsage(24)}`

export type PolicyValues = {
  [K in Exclude<keyof typeof POLICY_OPTIONS, 'adapter' | 'endpoint' | 'template-variable'>]?: string | undefined
} & {
  adapter?: string[] | undefined
  'template-variable'?: string[] | undefined
  endpoint?: string[] | undefined
}

/** Other models of the same command, which share options with the policy. */
interface Others {
  scorer?: string | undefined
  'judge-model'?: string | undefined
  'judge-endpoint'?: string | undefined
}

export function readApiKey(path: string | undefined): { apiKey?: string } {
  if (path === undefined) return {}
  try {
    return { apiKey: readFileSync(path, 'utf8').trim() }
  } catch (error) {
    throw invalidArgument(`--api-key-file ${path}: ${(error as Error).message}`, error)
  }
}

/** What --help says of --scorer and --prm, behind what a command calls it; `width` is that of its column of options. */
export const scorerUsage = (option: string, width: number) =>
  [
    [option, 'what scores steps: a process reward model (folder, name on a hub, URL of mm-prm serve);'],
    ['', `${CRITIC_NAMES.join(', ')}: the policy's own model as that judge;`],
    ['', 'FILE.mjs: its default export, { name, score } or a function that gives it'],
  ]
    .map(([name = '', text]) => `  ${name.padEnd(width)} ${text}`)
    .join('\n')

export const OBSERVE_USAGE = `  --observe                a scorer of queries is shown what each step gives on --databases; what does not run has no score`

const isUrl = (text: string | undefined) => /^https?:\/\//i.test(text ?? '')

/** An option that belongs to the other kind of policy; what a judge or a scorer needs is theirs. */
function refuse(kind: 'native' | 'openai', values: PolicyValues & Others): void {
  const opensFolder =
    (values.scorer !== undefined && !isUrl(values.scorer) && !isCriticName(values.scorer)) ||
    (values['judge-model'] !== undefined && !values['judge-endpoint'])
  const foreign =
    kind === 'native'
      ? (['endpoint', 'api-key-file', 'concurrency', 'rate', 'timeout', 'samples-per-request'] as const).find(
          (name) =>
            values[name] !== undefined && !(name === 'api-key-file' && (values['judge-endpoint'] || isUrl(values.scorer))),
        )
      : opensFolder
        ? undefined
        : givenEngineOption(values)
  if (kind === 'openai' && values.adapter) throw new UsageError('--adapter is for --policy native')
  if (foreign !== undefined) throw new UsageError(`--${foreign} is for --policy ${kind === 'native' ? 'openai' : 'native'}`)
}

/** How this machine asks a server. */
export function readAccess(values: Pick<PolicyValues, 'concurrency' | 'rate' | 'timeout' | 'api-key-file'>) {
  const concurrency = positiveInteger(values.concurrency, 'concurrency')
  const ratePerSecond = numberIn(values.rate, 'rate', { above: 0 })
  const seconds = numberIn(values.timeout, 'timeout', { above: 0 })
  return {
    ...(ratePerSecond !== undefined && { ratePerSecond }),
    ...readApiKey(values['api-key-file']),
    ...(concurrency !== undefined && { concurrency }),
    ...(seconds !== undefined && { timeoutMs: seconds * 1000 }),
  }
}

function readServer(values: PolicyValues) {
  const endpoints = values.endpoint ?? []
  const samplesPerRequest = positiveInteger(values['samples-per-request'], 'samples-per-request')
  return {
    server: endpoints.length > 1 ? endpoints : required(endpoints[0], 'endpoint'),
    ...readAccess(values),
    ...(samplesPerRequest !== undefined && { samplesPerRequest }),
  }
}

/** @throws UsageError for options of the other kind of policy; EngineError as `kit.openPolicy` */
export async function openPolicy(values: PolicyValues & Others): Promise<OpenedPolicy> {
  const kind = oneOf(values.policy, 'policy', ['native', 'openai']) ?? 'native'
  refuse(kind, values)
  const options: PolicyOptions = {
    model: required(values.model, 'model'),
    ...(kind === 'openai' ? readServer(values) : { ...readAdapters(values.adapter), ...readEngineOptions(values) }),
    ...(values.template !== undefined && { template: values.template }),
    ...(values.steps !== undefined && { steps: values.steps }),
    ...readTemplateVariables(values['template-variable']),
    sampling: readSampling(values),
  }
  if (kind === 'openai') return shown(() => openKitPolicy(options))
  const folders = await withFolders(options)
  return shown((onProgress) => openKitPolicy({ ...folders, onProgress }))
}

type ScorerValues = EngineValues &
  CriticValues & {
    reference?: string | undefined
    'merge-steps'?: string | undefined
    'prm-adapter'?: string[] | undefined
    'api-key-file'?: string | undefined
    observe?: boolean | undefined
    databases?: string | undefined
  } & Pick<PolicyValues, 'policy' | 'model' | 'endpoint' | 'adapter'>

/** The policy's own model as a judge in words: on its engine where that is open, on its server, or opened anew. */
async function openSelf(form: string, values: ScorerValues, engine: Engine | undefined): Promise<OpenedScorer> {
  if ((values.scoring ?? form) !== form)
    throw new UsageError(`${form} is a judge on the policy's own model: --scoring ${values.scoring} is for another one's`)
  const foreign = (['prm-model', 'prm-adapter', 'reference', 'merge-steps'] as const).find((name) => values[name] !== undefined)
  if (foreign) throw new UsageError(`--${foreign} is for another model: ${form} is a judge on the policy's own`)
  const asked = { ...readCritic({ ...values, scoring: form }), scoring: form }
  if (engine) return openKitScorer({ ...asked, engine })
  const model = required(values.model, 'model')
  if (values.policy === 'openai') {
    const [server, ...more] = values.endpoint ?? []
    if (more.length > 0) throw new UsageError(`${form} as a judge asks one server: --prm URL --prm-model NAME says which`)
    return openKitScorer({ ...asked, server: required(server, 'endpoint'), model, ...readApiKey(values['api-key-file']) })
  }
  const folders = await withFolders({ model, ...readAdapters(values.adapter), ...readEngineOptions(values), ...asked })
  return shown((onProgress) => openKitScorer({ ...folders, onProgress }))
}

/**
 * What scores steps: a process reward model in a folder or behind the URL of a server, the name of a judge in words on the
 * policy's own model, or a module.
 * @param policy whose engine a judge of that name is asked on, where it is open
 * @throws EngineError as `kit.openScorer`, which --scoring may help
 */
export async function openScorer(model: string, values: ScorerValues, policy?: { engine?: Engine }): Promise<OpenedScorer> {
  const databases = values.observe ? required(values.databases, 'databases') : undefined
  const scorer = await openPlainScorer(model, values, policy)
  return databases === undefined ? scorer : openObservingScorer(scorer, databases)
}

async function openPlainScorer(model: string, values: ScorerValues, policy?: { engine?: Engine }): Promise<OpenedScorer> {
  if (isCriticName(model)) return openSelf(model, values, policy?.engine)
  const { 'prm-adapter': adapters } = values
  const asked = readScoring(values)
  const given = givenScoringOption(values)
  const critic = readCritic(values)
  if (isModulePath(model)) {
    const flag = [
      ...(given ? [given] : []),
      ...(adapters ? ['prm-adapter'] : []),
      ...(values['prm-model'] ? ['prm-model'] : []),
    ][0]
    if (flag) throw new UsageError(`--${flag} is for a model: ${model} is a module`)
    return openKitScorer({ module: model })
  }
  if (critic && isUrl(model)) {
    const name = required(values['prm-model'], 'prm-model')
    return openKitScorer({ ...critic, server: model, model: name, ...readApiKey(values['api-key-file']) })
  }
  if (values['prm-model'] !== undefined) throw new UsageError('--prm-model is for a server: a folder has no other name')
  if (isUrl(model)) {
    if (given) throw new UsageError(`--${given} is for a folder: a server knows its own`)
    if (adapters) throw new UsageError('--prm-adapter is for a folder')
    return openKitScorer({ server: model, ...readApiKey(values['api-key-file']) })
  }
  const folders = await withFolders({ model, ...readAdapters(adapters), ...readEngineOptions(values), ...asked, ...critic })
  try {
    return await shown((onProgress) => openKitScorer({ ...folders, onProgress }))
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    const message = error.message
      .replace('name the scoring family:', 'name the scoring family with --scoring:')
      .replace('"reference" names', '--reference names')
    throw new EngineError(error.code, message, { cause: error })
  }
}

/** Opens a policy: what writes solutions. */
import type { z } from 'zod'
import type { Policy, Sampling } from '../contracts/policy.ts'
import { validate } from '../contracts/validate.ts'
import { nativePolicy, policySchema } from '../policy/native.ts'
import { type OpenAiPolicyOptions, openAiPolicy } from '../policy/openai.ts'
import { clientSchema } from '../policy/openai-client.ts'
import { type FolderOptions, folderSchema, type Opened, opened, openFolder } from './opened.ts'
import { clientOptions, isServer, type ServerOptions, type ServersOptions } from './server.ts'

interface Asking {
  /** How it is asked: for a folder its own template by default, for a server `mm-prm-v1`. */
  template?: string
  /** How steps without tags are told apart: `blank-line`, `line`, `step-n`, `heading`, `regex:…`, with `/K` merged to K. */
  steps?: string
  /** What the model's own chat template is told, such as `{ enable_thinking: false }`. */
  templateVariables?: Record<string, z.core.util.JSONType>
  /** What is absent takes the default of every policy. */
  sampling?: Partial<Sampling>
}

/** A checkpoint folder, or a model on a server, or on several, with the options of `policy.openAiPolicy`. */
export type PolicyOptions =
  | (FolderOptions & Asking)
  | ((ServerOptions | ServersOptions) & Asking & Omit<OpenAiPolicyOptions, 'baseUrl' | 'model'>)

/** A policy with its model: to be used as it is, and closed. */
export interface OpenedPolicy extends Policy, Opened {
  /** Rollouts of so many problems at once keep it busy. */
  readonly inFlight: number
}

/** Problems of one prefix each; further ones would only wait. */
const FOLDER_IN_FLIGHT = 8
const schema = folderSchema.extend(
  policySchema.pick({ template: true, steps: true, templateVariables: true, sampling: true }).shape,
)

/**
 * @throws EngineError INVALID_ARGUMENT (unknown options or template); INVALID_MODEL, UNSUPPORTED_MODEL, OUT_OF_MEMORY,
 *   ABORTED as `Engine.open`
 */
export async function openPolicy(options: PolicyOptions): Promise<OpenedPolicy> {
  if (isServer(options)) {
    const client = clientOptions(options) as OpenAiPolicyOptions
    const concurrency = client.concurrency ?? clientSchema.shape.concurrency.parse(undefined)
    return Object.assign(opened(openAiPolicy(client)), { inFlight: concurrency * [client.baseUrl].flat().length })
  }
  const { template, steps, templateVariables, sampling, ...folder } = validate(schema, options, 'kit.openPolicy')
  const asking = {
    sampling,
    ...(template !== undefined && { template }),
    ...(steps !== undefined && { steps }),
    ...(templateVariables && { templateVariables }),
  }
  const policy = await openFolder(folder as FolderOptions, (engine) => nativePolicy(engine, asking))
  return Object.assign(policy, { inFlight: FOLDER_IN_FLIGHT })
}

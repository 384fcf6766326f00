/** Opens a process reward model: what scores steps. */
import { z } from 'zod'
import { EngineError } from '../contracts/errors.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import { validate } from '../contracts/validate.ts'
import { CRITIC_NAMES, type CriticOptions, criticSchema, criticScorer, isCriticName } from '../critics/index.ts'
import type { Engine } from '../engine/engine.ts'
import { FAMILY_NAMES } from '../engine/families/index.ts'
import { type OpenOptions, openSchema } from '../engine/options.ts'
import { chatCritic, engineCritic } from '../policy/critic.ts'
import { type RemoteScorerOptions, remoteScorer } from '../policy/remote-scorer.ts'
import { nativeScorer } from '../policy/scorer.ts'
import { openSandbox } from '../sandbox/index.ts'
import { observingScorer } from '../sql/index.ts'
import { type Opened, opened, openFolder } from './opened.ts'
import { openScorerModule } from './scorer-module.ts'
import { clientOptions, isServer, type ServerOptions } from './server.ts'

/** The server's URL, with or without `/v1`, and the client's other options beside it; its PRM needs no name. */
type ScoringServer = ({ server: string } & Omit<RemoteScorerOptions, 'baseUrl'>) | { server: RemoteScorerOptions }

/** Of judges in words; `runCode`: run the code that they write (genprm) in a sandbox. Default: none is run. */
type Judging = CriticOptions & { runCode?: boolean | undefined }

/**
 * A checkpoint folder, where `scoring` names its family if its files do not tell; or a PRM behind `mm-prm serve`, which
 * gives the same scores under the same name. With a generative `scoring` (r-prm, genprm, thinkprm, vrprm, critique) a folder or a
 * model on a server that judges in words; or such a judge on an engine that is open already, the policy's own say, which stays
 * the caller's to close. `module`: a file whose default export is a StepScorer, or a function that makes one.
 */
export type ScorerOptions =
  | (OpenOptions & Judging)
  | ScoringServer
  | (ServerOptions & { scoring: string } & Judging)
  | ({ engine: Engine; scoring: string } & Judging)
  | { module: string }

/** A scorer with its model: to be used as it is, and closed. */
export interface OpenedScorer extends StepScorer, Opened {}

/**
 * A scorer that is shown what each step of a query gives, on the SQLite files of the folder `databases`: it closes with it.
 * @throws EngineError INVALID_ARGUMENT where no sandbox can be made
 */
export async function openObservingScorer(scorer: OpenedScorer, databases: string): Promise<OpenedScorer> {
  const observing = observingScorer(scorer, { databases, runner: await openSandbox() })
  const { engine, close } = scorer
  return Object.assign(observing, { ...(engine && { engine }), close, [Symbol.asyncDispose]: close })
}

/**
 * @throws EngineError UNSUPPORTED_MODEL (no PRM, or one that does not tell its family and `scoring` is absent), and all
 *   that `Engine.open` throws;
 *   of a server POLICY (it does not answer, or has no PRM)
 */
export async function openScorer(options: ScorerOptions): Promise<OpenedScorer> {
  if (isServer(options)) {
    if ('scoring' in options) return openServerCritic(options)
    const { server, ...more } = options
    return opened(await remoteScorer({ ...more, ...(typeof server === 'string' ? { baseUrl: server } : server) }))
  }
  if ('module' in options) {
    const { close, ...scorer } = await openScorerModule(options.module)
    return Object.assign(scorer, { close, [Symbol.asyncDispose]: close })
  }
  if ('engine' in options) {
    const { engine, scoring, runCode, ...asking } = options
    return opened(criticScorer(scoring, engineCritic(engine), asking, await runnerOf(runCode)))
  }
  if (isCriticName(options.scoring)) return openFolderCritic(options)
  const folder = validate(openSchema, options, 'kit.openScorer') as OpenOptions
  return openFolder(folder, (engine) => {
    if (engine.info().scoring !== null) return nativeScorer(engine)
    const what = 'its files do not tell how it scores steps; name the scoring family'
    throw new EngineError(
      'ERR_ENGINE_UNSUPPORTED_MODEL',
      `${folder.model}: ${what}: ${[...FAMILY_NAMES, ...CRITIC_NAMES].join(', ')}`,
    )
  })
}

const runnerOf = (runCode = false) => (runCode ? openSandbox() : undefined)

async function openServerCritic(options: ServerOptions & { scoring: string } & Judging) {
  const { scoring, judgements, judgementTokens, ownSolution, seed, runCode, ...server } = options
  const asking = { judgements, judgementTokens, ownSolution, seed }
  return opened(criticScorer(scoring, chatCritic(clientOptions(server)), asking, await runnerOf(runCode)))
}

async function openFolderCritic(options: OpenOptions & Judging): Promise<OpenedScorer> {
  const schema = openSchema
    .omit({ reference: true, mergeSteps: true })
    .extend({ ...criticSchema.shape, runCode: z.boolean().optional() })
  const { scoring, judgements, judgementTokens, ownSolution, seed, runCode, ...folder } = validate(
    schema,
    options,
    'kit.openScorer',
  )
  const asking = { judgements, judgementTokens, ownSolution, seed }
  const runner = await runnerOf(runCode)
  return openFolder(folder as OpenOptions, (engine) => criticScorer(scoring, engineCritic(engine), asking, runner))
}

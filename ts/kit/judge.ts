/** Opens judges, which are asked questions in words, and verifiers, which ask one where rules cannot decide. */
import { validate } from '../contracts/validate.ts'
import type { AskJudge, Verifier } from '../contracts/verifier.ts'
import { askingSchema, chatJudge, engineJudge, type JudgeAsking } from '../policy/judge.ts'
import { openSandbox } from '../sandbox/index.ts'
import { type SqlVerifierOptions, sqlVerifier } from '../sql/index.ts'
import { type RuleVerifierOptions, ruleVerifier } from '../verify/index.ts'
import { type FolderOptions, folderSchema, type Opened, opened, openFolder } from './opened.ts'
import { clientOptions, isServer, type ServerOptions } from './server.ts'

/** A checkpoint folder, asked through its chat template, or a model on a server. */
export type JudgeOptions = (FolderOptions | ServerOptions) & JudgeAsking

/** A judge with its model, as `verify.ruleVerifier` and `verify.firstErrorJudge` take it; to be closed. */
export interface OpenedJudge extends Opened {
  readonly ask: AskJudge
  /** Recorded with a run: another judge makes another run. */
  readonly name: string
}

/** @throws EngineError INVALID_ARGUMENT, and all that `Engine.open` throws */
export async function openJudge(options: JudgeOptions): Promise<OpenedJudge> {
  if (isServer(options)) {
    const client = clientOptions(options)
    return opened({ ask: chatJudge(client), name: client.model })
  }
  const { maxTokens, ...folder } = validate(folderSchema.extend(askingSchema.shape), options, 'kit.openJudge')
  return openFolder(folder as FolderOptions, (engine) => ({ ask: engineJudge(engine, { maxTokens }), name: engine.identity() }))
}

/** Verifiers by the task that they are for; a run's identity holds which. */
export const VERIFIER_NAMES = ['rules', 'sql'] as const
export type VerifierName = (typeof VERIFIER_NAMES)[number]

/**
 * `rules` (default): rules alone, or also the judge that `model` or `server` names. `sql`: queries, run in a sandbox on the
 * SQLite files of the folder `databases`.
 */
export type VerifierOptions =
  | ({ verifier?: 'rules'; rules?: Omit<RuleVerifierOptions, 'judge'> } & (JudgeOptions | { model?: never; server?: never }))
  | ({ verifier: 'sql' } & Omit<SqlVerifierOptions, 'runner'>)

/** A verifier with its judge's model, if it has one: to be used as it is, and closed. */
export interface OpenedVerifier extends Verifier, Opened {}

/** @throws EngineError INVALID_ARGUMENT, and all that `Engine.open` throws */
export async function openVerifier(asked: VerifierOptions = {}): Promise<OpenedVerifier> {
  if (asked.verifier === 'sql') {
    const { verifier: _, ...options } = asked
    return opened(sqlVerifier({ ...options, runner: await openSandbox() }))
  }
  const { verifier: _, rules, ...options } = asked
  if (Object.keys(options).length === 0) return opened(ruleVerifier(rules))
  const { ask, name, engine } = await openJudge(options as JudgeOptions)
  return opened(ruleVerifier({ ...rules, judge: { ask, name } }), engine)
}

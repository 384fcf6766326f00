/** Opens a process reward model: what scores steps. */
import { EngineError } from '../contracts/errors.ts'
import type { StepScorer } from '../contracts/scorer.ts'
import { validate } from '../contracts/validate.ts'
import { FAMILY_NAMES } from '../engine/families/index.ts'
import { type OpenOptions, openSchema } from '../engine/options.ts'
import { nativeScorer } from '../policy/scorer.ts'
import { type Opened, openFolder } from './opened.ts'

/** A checkpoint folder; `scoring` names its family where its files do not tell. */
export type ScorerOptions = OpenOptions

/** A scorer with its model: to be used as it is, and closed. */
export interface OpenedScorer extends StepScorer, Opened {}

/**
 * @throws EngineError UNSUPPORTED_MODEL (no PRM, or one that does not tell its family and `scoring` is absent), and all
 *   that `Engine.open` throws
 */
export async function openScorer(options: ScorerOptions): Promise<OpenedScorer> {
  const folder = validate(openSchema, options, 'kit.openScorer') as OpenOptions
  return openFolder(folder, (engine) => {
    if (engine.info().scoring !== null) return nativeScorer(engine)
    const what = 'its files do not tell how it scores steps; name the scoring family'
    throw new EngineError('ERR_ENGINE_UNSUPPORTED_MODEL', `${folder.model}: ${what}: ${FAMILY_NAMES.join(', ')}`)
  })
}

/** The scoring families, one line each, and how a checkpoint's is found. */
import { z } from 'zod'
import { EngineError, invalidArgument, invalidModel } from '../../contracts/errors.ts'
import { suggest } from '../../contracts/suggest.ts'
import { readJsonFile } from '../tokenizer/files.ts'
import { actPrm } from './act-prm.ts'
import type { CheckpointTraits, FamilyDefinition, ScoringFamily } from './family.ts'
import { gflownet } from './gflownet.ts'
import { implicit } from './implicit.ts'
import { mathShepherd } from './math-shepherd.ts'
import { mmPrm } from './mm-prm.ts'
import { qwenMathPrm } from './qwen-math-prm.ts'
import { reasonFlux } from './reasonflux.ts'
import { rewardSql } from './reward-sql.ts'
import { rlhflow } from './rlhflow.ts'
import { skywork } from './skywork.ts'
import { trl } from './trl.ts'
import { visualPrm } from './visual-prm.ts'
import { vlPrm } from './vl-prm.ts'

export type { CheckpointTraits, Reward, ScoringFamily, ScoringPrompt, ScoringRequest } from './family.ts'

const FAMILIES: readonly FamilyDefinition[] = [
  ...[visualPrm, mmPrm, qwenMathPrm, reasonFlux, actPrm, skywork, trl],
  ...[mathShepherd, rewardSql, rlhflow, vlPrm, gflownet, implicit],
]
export const FAMILY_NAMES = FAMILIES.map((f) => f.name)

/** Public families that are asked for and not to be had: the reason says why, where another name would be suggested. */
const REFUSED: Readonly<Record<string, string>> = {
  ursa: 'its two vision towers, SigLIP and SAM side by side, are not in this engine',
}

/** File in which a checkpoint says how it was trained to be used. */
export const RECORD_FILE = 'mm-prm.json'
const recordSchema = z.looseObject({
  scoring: z.string().min(1).optional(),
  template: z.string().min(1).optional(),
  /** What the model was told first in training, where its family does not say. */
  systemMessage: z.string().min(1).optional(),
  /** Of implicit PRMs: what a log-ratio is multiplied by. */
  beta: z.number().positive().optional(),
  /** A step whose score is below it is taken for wrong: fitted on held-out steps. */
  threshold: z.number().gt(0).lt(1).optional(),
})
export type RecordedScoring = z.output<typeof recordSchema>

/** What the folder records about its own scoring; undefined where it records nothing. */
export function readRecordedScoring(folder: string): Promise<RecordedScoring | undefined> {
  return readJsonFile(folder, RECORD_FILE, recordSchema)
}

/**
 * The family that is named, by the caller or by the checkpoint; undefined where neither names one.
 * @throws EngineError INVALID_ARGUMENT or INVALID_MODEL (as the record is the model's) where no family has the name
 */
export function namedFamily(scoring: string, recorded: RecordedScoring | undefined): FamilyDefinition | undefined {
  const byCaller = scoring !== 'auto'
  const name = byCaller ? scoring : recorded?.scoring
  const found = FAMILIES.find((f) => f.name === name)
  if (name === undefined || found) return found
  const why = Object.hasOwn(REFUSED, name) ? `"${name}" is not supported: ${REFUSED[name]}` : undefined
  const what = why ?? `no scoring family "${name}"${suggest(name, FAMILY_NAMES)}`
  throw byCaller ? invalidArgument(`scoring: ${what}`) : invalidModel(`${RECORD_FILE}: scoring: ${what}`)
}

/**
 * `auto`: what the checkpoint records, else what it shows. @throws EngineError UNSUPPORTED_MODEL listing the names
 * where nothing is recognised, INVALID_MODEL where the tokenizer lacks what the family reads
 */
export function resolveFamily(scoring: string, traits: CheckpointTraits): ScoringFamily {
  const named = namedFamily(scoring, traits.recorded)
  if (named) return checked(named, traits)
  const family = FAMILIES.find((f) => f.recognise(traits))
  if (!family) {
    throw new EngineError(
      'ERR_ENGINE_UNSUPPORTED_MODEL',
      `${traits.architecture}: its files do not tell how it scores steps; name the scoring family: ${FAMILY_NAMES.join(', ')}`,
    )
  }
  return checked(family, traits)
}

/** The token that a family needs in the vocabulary behind each step; undefined where it needs none of its own. */
export function markerOf(family: string): string | undefined {
  return FAMILIES.find((f) => f.name === family)?.marker
}

/** Whether a checkpoint records or shows which family it is of. */
export function tellsFamily(traits: CheckpointTraits): boolean {
  return traits.recorded?.scoring !== undefined || FAMILIES.some((f) => f.recognise(traits))
}

/** Why a checkpoint is read as it is: two families may look alike to whoever opens one. */
export function scoringReason(scoring: string, recorded: RecordedScoring | undefined, name: string): string {
  if (scoring !== 'auto') return 'as asked'
  if (recorded?.scoring !== undefined) return `${RECORD_FILE} says so`
  return `by ${FAMILIES.find((f) => f.name === name)?.shows ?? 'its files'}`
}

/** A family that reads a reward head needs one, and the others need a vocabulary head; a reference model belongs to those that compare with it. */
function checked(family: FamilyDefinition, traits: CheckpointTraits): ScoringFamily {
  const reads = family.head === 'classes'
  if (reads !== traits.hasRewardHead) {
    throw invalidArgument(`scoring "${family.name}" needs a checkpoint ${reads ? 'with' : 'without'} a reward head`)
  }
  const compares = family.reference ?? false
  if (compares && !traits.hasReference)
    throw invalidArgument(`scoring "${family.name}" compares with the model it was trained from: "reference" names its folder`)
  if (!compares && traits.hasReference)
    throw invalidArgument(`scoring "${family.name}" takes no reference: that is for scoring "implicit"`)
  return family.create(traits)
}

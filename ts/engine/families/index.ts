/** The scoring families, one line each, and how a checkpoint's is found. */
import { z } from 'zod'
import { invalidArgument } from '../../contracts/errors.ts'
import { suggest } from '../../contracts/suggest.ts'
import { readJsonFile } from '../tokenizer/files.ts'
import type { CheckpointTraits, FamilyDefinition, ScoringFamily } from './family.ts'
import { mathShepherd } from './math-shepherd.ts'
import { mmPrm } from './mm-prm.ts'
import { qwenMathPrm } from './qwen-math-prm.ts'

export type { CheckpointTraits, Reward, ScoringFamily, ScoringPrompt, ScoringRequest } from './family.ts'

const FAMILIES: readonly FamilyDefinition[] = [mmPrm, qwenMathPrm, mathShepherd]
export const FAMILY_NAMES = FAMILIES.map((f) => f.name)

/** File in which a checkpoint says how it was trained to be used. */
export const RECORD_FILE = 'mm-prm.json'
const recordSchema = z.looseObject({ scoring: z.string().min(1).optional(), template: z.string().min(1).optional() })
export type RecordedScoring = z.output<typeof recordSchema>

/** What the folder records about its own scoring; undefined where it records nothing. */
export function readRecordedScoring(folder: string): Promise<RecordedScoring | undefined> {
  return readJsonFile(folder, RECORD_FILE, recordSchema)
}

function findFamily(name: string, where: string): FamilyDefinition {
  const found = FAMILIES.find((f) => f.name === name)
  if (!found) throw invalidArgument(`${where}: no scoring family "${name}"${suggest(name, FAMILY_NAMES)}`)
  return found
}

/**
 * `auto`: what the checkpoint records, else what it shows. @throws EngineError INVALID_ARGUMENT listing the names
 * where nothing is recognised, INVALID_MODEL where the tokenizer lacks what the family reads
 */
export function resolveFamily(scoring: string, traits: CheckpointTraits): ScoringFamily {
  if (scoring !== 'auto') return checked(findFamily(scoring, 'scoring'), traits)
  if (traits.recorded?.scoring) return checked(findFamily(traits.recorded.scoring, RECORD_FILE), traits)
  const family = FAMILIES.find((f) => f.recognise(traits))
  if (!family) {
    throw invalidArgument(
      `${traits.architecture}: its files do not tell how it scores steps; name the scoring family: ${FAMILY_NAMES.join(', ')}`,
    )
  }
  return family.create(traits)
}

/** A family that reads a reward head needs one, and the others need a vocabulary head. */
function checked(family: FamilyDefinition, traits: CheckpointTraits): ScoringFamily {
  const needsHead = family === qwenMathPrm
  if (needsHead !== traits.hasRewardHead) {
    throw invalidArgument(`scoring "${family.name}" needs a checkpoint ${needsHead ? 'with' : 'without'} a reward head`)
  }
  return family.create(traits)
}

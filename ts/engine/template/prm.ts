/** The templates that a PRM of MM-PRM's family may be trained and scored with, by name. */
import { prmScorePrompt, prmTrainPrompt } from './internvl.ts'
import { prefillPrmPrompt } from './rollout.ts'

export const PRM_TEMPLATES = {
  'internvl2_5-prm-score': prmScorePrompt,
  'internvl2_5-prm-train': prmTrainPrompt,
  'prefill-prm': prefillPrmPrompt,
} as const

export type PrmTemplate = keyof typeof PRM_TEMPLATES

/** Options of every command that samples solutions. */
import type { Sampling } from '../contracts/policy.ts'
import { ROLLOUT_SAMPLING as USUAL } from '../contracts/sampling.ts'
import { numberIn, positiveInteger } from './command.ts'

export const SAMPLING_OPTIONS = {
  temperature: { type: 'string' },
  'top-k': { type: 'string' },
  'top-p': { type: 'string' },
  'repetition-penalty': { type: 'string' },
  'max-tokens': { type: 'string' },
} as const

export const SAMPLING_USAGE = `  --temperature T          0 is greedy (default ${USUAL.temperature})
  --top-k K                0 is off (default ${USUAL.topK})
  --top-p P                in (0, 1] (default ${USUAL.topP})
  --repetition-penalty R   above 0; 1 is off (default ${USUAL.repetitionPenalty})
  --max-tokens M           per solution (default ${USUAL.maxTokens})`

type Values = { [K in keyof typeof SAMPLING_OPTIONS]?: string | undefined }

/** Sampling as asked for; what is absent takes the default. */
export function readSampling(values: Values): Partial<Sampling> {
  const given = {
    temperature: numberIn(values.temperature, 'temperature', { min: 0 }),
    topK: numberIn(values['top-k'], 'top-k', { min: 0, whole: true }),
    topP: numberIn(values['top-p'], 'top-p', { above: 0, max: 1 }),
    repetitionPenalty: numberIn(values['repetition-penalty'], 'repetition-penalty', { above: 0 }),
    maxTokens: positiveInteger(values['max-tokens'], 'max-tokens'),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** Learning-rate schedules of transformers (`get_scheduler`): factor of the peak rate at each step, counted from 0. */

export const SCHEDULES = ['cosine', 'linear', 'constant', 'constant_with_warmup'] as const
export type Schedule = (typeof SCHEDULES)[number]

export function scheduleFactor(kind: Schedule, step: number, warmupSteps: number, totalSteps: number): number {
  if (kind === 'constant') return 1
  if (step < warmupSteps) return step / Math.max(1, warmupSteps)
  if (kind === 'constant_with_warmup') return 1
  const left = Math.max(1, totalSteps - warmupSteps)
  if (kind === 'linear') return Math.max(0, (totalSteps - step) / left)
  return Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / left)))
}

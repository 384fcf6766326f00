/** What a policy wrote, read as steps: by our tags, or as its splitter tells them apart. */
import type { Outcome } from '../contracts/policy.ts'
import { capRollout, type ReadOptions, readRollout } from '../contracts/read-rollout.ts'
import type { StepSplitter } from '../contracts/step-splitter.ts'

export function readText(
  text: string,
  { truncated, maxSteps, isReasoning }: ReadOptions,
  splitter: StepSplitter | undefined,
): { outcome: Outcome; steps: string[] } {
  if (!splitter) return readRollout(text, { truncated, maxSteps, isReasoning })
  const kept = capRollout(text)
  const steps = splitter.split(kept, isReasoning)
  if (maxSteps !== undefined && steps.length > maxSteps) return { outcome: 'stopped', steps: steps.slice(0, maxSteps) }
  if (truncated || kept !== text) return { outcome: 'truncated', steps }
  return { outcome: steps.length > 0 ? 'complete' : 'unparsed', steps }
}

/** Consensus filtering: a sample is kept where a judge finds the same first error as the search, or none either. */
import type { FirstErrorJudge } from '../contracts/verifier.ts'
import type { Sample } from './sample.ts'

/**
 * Steps that the search takes for the first wrong one: the first node from which no rollout came right, from its first
 * step to its last (a node of several steps has one count); null in a sample that ends in a right answer.
 */
export function firstErrorOf({ kind, steps }: Sample): readonly [from: number, to: number] | null {
  if (kind === 'positive') return null
  const to = steps.findIndex(({ counts }) => counts !== null && counts.total > 0 && counts.correct === 0)
  return [steps.findLastIndex(({ counts }, i) => i < to && counts !== null) + 1, to]
}

function agrees(found: number | null, sample: Sample): boolean {
  const span = firstErrorOf(sample)
  if (span === null || found === null) return span === found
  return span[0] <= found && found <= span[1]
}

/** Asks about all at once. @throws the first failure, when nothing is left asking */
export async function together<T, R>(
  items: readonly T[],
  ask: (item: T, signal: AbortSignal) => Promise<R>,
  signal: AbortSignal | undefined,
): Promise<R[]> {
  const failed = new AbortController()
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  const asked = items.map((item) => ask(item, either))
  try {
    return await Promise.all(asked)
  } catch (error) {
    failed.abort()
    await Promise.allSettled(asked)
    throw error
  }
}

export interface Consensus {
  agreed: readonly Sample[]
  contested: number
  /** The judge's words named no step. */
  unjudged: number
}

/** All samples agree where there is no judge. @throws whatever the judge throws; nothing is left asking then */
export async function consensus(
  samples: readonly Sample[],
  judge: FirstErrorJudge | undefined,
  signal: AbortSignal | undefined,
): Promise<Consensus> {
  if (!judge) return { agreed: samples, contested: 0, unjudged: 0 }
  const texts = (sample: Sample) => sample.steps.map((step) => step.text)
  const found = await together(samples, (sample, either) => judge(sample.problem, texts(sample), either), signal)
  const isRead = (f: (typeof found)[number]): f is number | null => f !== 'unread'
  const agreed = samples.filter((sample, i) => {
    const f = found[i] as (typeof found)[number]
    return isRead(f) && agrees(f, sample)
  })
  const unjudged = found.filter((f) => !isRead(f)).length
  return { agreed, contested: samples.length - agreed.length - unjudged, unjudged }
}

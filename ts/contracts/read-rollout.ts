/**
 * How a policy's text is read, wherever one is: `<step>…</step>` blocks and one `<answer>…</answer>` at the end, behind
 * its reasoning. Text that does not fit is `unparsed`, text that was cut is `truncated`; neither is ever repaired.
 * One pass over the tags: a hostile text costs what a good one of its length does.
 */
import type { Outcome } from './policy.ts'
import { solutionStart } from './reasoning.ts'

/** Longer texts are cut here and count as truncated: a search keeps and compares what it reads. */
export const MAX_ROLLOUT_CHARS = 2 ** 20
/** So many blocks, likewise. WHY: a search tree is as deep as its longest rollout, and every node knows its prefix. */
export const MAX_ROLLOUT_STEPS = 1024

export interface ReadOptions {
  /** The token limit ended the text. */
  truncated: boolean
  /** The request asked for no more than so many steps. */
  maxSteps?: number | undefined
  /** The text begins inside a block of reasoning that its prompt has opened. */
  isReasoning?: boolean | undefined
}

export interface RolloutContent {
  outcome: Outcome
  /** Contents of the closed blocks in order, whatever the outcome; in a complete rollout the last one is the answer's. */
  steps: string[]
  /** Content of the first closed answer block. */
  answer: string | null
}

type Kind = 'step' | 'answer'

interface Tag {
  readonly kind: Kind
  readonly closes: boolean
  readonly start: number
  readonly end: number
}

interface Block {
  readonly kind: Kind
  readonly content: string
  /** It has content and no tag inside, and nothing is lost before it: words may stand before the first block alone. */
  readonly fits: boolean
}

const TAG = /<(\/?)(step|answer)>/g

/** Those of as many blocks as are read, and one more to tell that there are more. */
function tagsOf(text: string): Tag[] {
  const tags: Tag[] = []
  for (const { 0: tag, 1: slash, 2: kind, index } of text.matchAll(TAG)) {
    tags.push({ kind: kind as Kind, closes: slash === '/', start: index, end: index + tag.length })
    if (tags.length > 2 * MAX_ROLLOUT_STEPS) break
  }
  return tags
}

/** Closed blocks from left to right; returns whether a tag stands behind the last one. */
function* blocksOf(text: string, tags: readonly Tag[]): Generator<Block, boolean> {
  // WHY kept: the search for a closing tag never goes back, so that unclosed tags are not looked through again and again.
  const closing = { step: 0, answer: 0 }
  let [end, next] = [0, 0]
  for (let i = 0; i < tags.length; i++) {
    const tag = tags[i] as Tag
    if (tag.closes) continue
    let close = Math.max(closing[tag.kind], i + 1)
    while (close < tags.length && !(tags[close]?.closes && tags[close]?.kind === tag.kind)) close++
    closing[tag.kind] = close
    const closer = tags[close]
    if (!closer) continue
    const content = text.slice(tag.end, closer.start).trim()
    const isLossless = next === 0 ? i === 0 : text.slice(end, tag.start).trim() === ''
    yield { kind: tag.kind, content, fits: isLossless && close === i + 1 && content !== '' }
    ;[i, end, next] = [close, closer.end, close + 1]
  }
  return next < tags.length
}

/** Reads what follows the reasoning, if there is any. */
export function readRollout(text: string, { truncated, maxSteps, isReasoning }: ReadOptions): RolloutContent {
  const steps: string[] = []
  let answer: string | null = null
  let fits = true
  const kept = capRollout(text)
  const solution = kept.slice(solutionStart(kept, isReasoning))
  const tags = tagsOf(solution)
  const blocks = blocksOf(solution, tags)
  let block = blocks.next()
  for (; !block.done; block = blocks.next()) {
    const { kind, content } = block.value
    fits &&= block.value.fits && answer === null
    if (kind === 'answer') answer ??= content
    steps.push(content)
    if (fits && answer === null && steps.length === maxSteps) return { outcome: 'stopped', steps, answer }
  }
  const isTooLong = kept !== text || tags.length > 2 * MAX_ROLLOUT_STEPS
  if (truncated || isTooLong) return { outcome: 'truncated', steps, answer }
  return { outcome: fits && answer !== null && !block.value ? 'complete' : 'unparsed', steps, answer }
}

/** A text as it is kept; never half a character. */
export function capRollout(text: string): string {
  if (text.length <= MAX_ROLLOUT_CHARS) return text
  const isSplit = /[\ud800-\udbff]/.test(text.charAt(MAX_ROLLOUT_CHARS - 1))
  return text.slice(0, MAX_ROLLOUT_CHARS - (isSplit ? 1 : 0))
}

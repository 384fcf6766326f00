/**
 * How a policy's text is read: `<step>…</step>` blocks and one `<answer>…</answer>` at the end.
 * Text that does not fit is `unparsed`, text that was cut is `truncated`; neither is ever repaired.
 */
import type { Outcome } from '../contracts/policy.ts'

const BLOCK = /<(step|answer)>([\s\S]*?)<\/\1>/g
const TAG = /<\/?(?:step|answer)>/

export interface ParseOptions {
  /** The token limit ended the text. */
  truncated: boolean
  /** The request asked for no more than so many steps. */
  maxSteps?: number | undefined
}

/** Steps in order, the answer block last; blocks that were closed are returned whatever the outcome. */
export function parseTagged(text: string, options: ParseOptions): { outcome: Outcome; steps: string[] } {
  const steps: string[] = []
  let wellFormed = true
  let answered = false
  let end = 0
  for (const match of text.matchAll(BLOCK)) {
    const before = text.slice(end, match.index)
    const step = (match[2] as string).trim()
    // Words before the first block are a preamble; between blocks they would be lost from the solution.
    const lost = steps.length > 0 ? before.trim() !== '' : TAG.test(before)
    if (lost || answered || step === '' || TAG.test(step)) wellFormed = false
    answered ||= match[1] === 'answer'
    steps.push(step)
    end = match.index + match[0].length
    if (wellFormed && !answered && steps.length === options.maxSteps) return { outcome: 'stopped', steps }
  }
  if (options.truncated) return { outcome: 'truncated', steps }
  const complete = wellFormed && answered && !TAG.test(text.slice(end))
  return { outcome: complete ? 'complete' : 'unparsed', steps }
}

/**
 * Where a reasoning model's solution begins: behind what it thought first, which may well name the solution's own tags.
 * A server or chat template that opens the block itself leaves its closing tag alone in the text.
 */

/** As Qwen, DeepSeek and most others write it; as Magistral; as Kimi. */
const TAG = /<(\/?)(?:think|thinking|thought|reasoning)>|\[(\/?)THINK\]|◁(\/?)think▷/g
const BLOCK = /<(?:step|answer)>/g
const OPENED = /(?:<(?:think|thinking|thought|reasoning)>|\[THINK\]|◁think▷)\s*$/

interface Tag {
  readonly closes: boolean
  readonly start: number
  readonly end: number
}

/** Whether a text holds reasoning of its own, be it unfinished. */
export function hasReasoning(text: string): boolean {
  return text.search(TAG) >= 0
}

/** Whether a prompt ends in a block of reasoning that its template has opened: what is written behind it begins inside. */
export function opensReasoning(prompt: string): boolean {
  return OPENED.test(prompt)
}

/** Index behind the block that `tags[from]` opens, its inner ones closed; undefined where nothing closes it. */
function closeOf(tags: readonly Tag[], from: number): number | undefined {
  let depth = 0
  let last: number | undefined
  for (let i = from; i < tags.length; i++) {
    depth += tags[i]?.closes ? -1 : 1
    if (tags[i]?.closes) last = i
    if (depth === 0) break
  }
  return last // a mere mention of the opening tag leaves the last closing one
}

/**
 * Index of the first character that is no reasoning: 0 without any, the text's length where it never ends.
 * @param isOpen the text begins inside a block, as `opensReasoning` tells of its prompt
 */
export function solutionStart(text: string, isOpen = false): number {
  const written = Array.from(text.matchAll(TAG), ({ 0: { length }, 1: a, 2: b, 3: c, index }) => ({
    closes: (a ?? b ?? c) === '/',
    start: index,
    end: index + length,
  }))
  const tags: Tag[] = isOpen ? [{ closes: false, start: 0, end: 0 }, ...written] : written
  let start = 0
  let block = -1
  for (let i = 0; i < tags.length; i++) {
    const tag = tags[i] as Tag
    if (block < start) block = findFrom(text, BLOCK, start)
    // What stands behind the first block is no reasoning before the steps, save that an unopened one ends there.
    if (block < tag.start && !(tag.closes && start === 0)) break
    const close = tag.closes ? i : closeOf(tags, i)
    if (close === undefined) return text.length
    start = (tags[close] as Tag).end
    i = close
  }
  return start
}

function findFrom(text: string, pattern: RegExp, from: number): number {
  pattern.lastIndex = from
  return pattern.exec(text)?.index ?? Number.POSITIVE_INFINITY
}

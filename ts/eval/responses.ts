/** Generations made elsewhere: a file of JSON lines, each with a row's number or id and what was written for it. */
import { invalidArgument } from '../contracts/errors.ts'
import { readJsonLines } from '../contracts/json-lines.ts'
import { readRollout } from '../contracts/read-rollout.ts'
import type { StepSplitter } from '../contracts/step-splitter.ts'
import { defaultSplitter } from '../contracts/step-splitter.ts'
import type { AnswerItem } from './answer-task.ts'
import type { Solution, SolutionStore } from './solutions.ts'
import { checkSame } from './solutions.ts'

/** `{"row" | "id", "responses": […]}`; also `response` or `text` for one, and `candidates` of `{text}`. */
function textsOf(value: Record<string, unknown>): string[] | undefined {
  const given = value['responses'] ?? value['candidates'] ?? value['response'] ?? value['text']
  const list = Array.isArray(given) ? given : [given]
  const texts = list.map((one) => (typeof one === 'object' && one !== null ? (one as { text?: unknown }).text : one))
  return texts.every((text) => typeof text === 'string') ? (texts as string[]) : undefined
}

/** Tagged steps where the text has them; else those that the splitter finds. */
export function readSolution(text: string, splitter: StepSplitter = defaultSplitter): Solution {
  const read = readRollout(text, { truncated: false })
  if (read.outcome === 'complete') return { outcome: 'complete', steps: read.steps, text }
  const steps = splitter.split(text)
  return { outcome: steps.length > 0 ? 'complete' : 'unparsed', steps, text }
}

/**
 * Enters the file's texts as the solutions of their problems; those without a line have an error that says so.
 * @throws EngineError INVALID_ARGUMENT with the line: no such row or id, no text, a row that appears twice
 */
export async function enterResponses(
  store: SolutionStore,
  path: string,
  items: readonly AnswerItem[],
  hashes: readonly string[],
  splitter?: StepSplitter,
): Promise<void> {
  const indexOf = new Map(items.map(({ problem }, i) => [problem.id, i]))
  const texts: (string[] | undefined)[] = items.map(() => undefined)
  for await (const { line, value, problem } of readJsonLines(path)) {
    if (!value) throw invalidArgument(`${path}, line ${line}: ${problem}`)
    const row = value['row']
    const id = value['id'] === undefined ? undefined : String(value['id'])
    const ofVariant = id !== undefined && value['variant'] !== undefined ? indexOf.get(`${id}/${value['variant']}`) : undefined
    const index = typeof row === 'number' ? row : (ofVariant ?? indexOf.get(id ?? ''))
    if (index === undefined)
      throw invalidArgument(`${path}, line ${line}: ${id === undefined ? 'no "row" or "id"' : `no problem has the id "${id}"`}`)
    if (index >= items.length) continue // beyond the limit
    const given = textsOf(value)
    if (!given) throw invalidArgument(`${path}, line ${line}: "responses" must be a list of texts`)
    if (texts[index]) throw invalidArgument(`${path}, line ${line}: "${items[index]?.problem.id}" appears twice`)
    texts[index] = given
  }
  for (const [i, { problem }] of items.entries()) {
    const head = { id: problem.id, hash: hashes[i] as string, from: 0 }
    checkSame(store, head.id, head.hash, 'file')
    if (store.hashOf(head.id) !== undefined) continue
    const given = texts[i]
    await store.append(
      given ? { ...head, solutions: given.map((t) => readSolution(t, splitter)) } : { ...head, error: 'no response' },
    )
  }
}

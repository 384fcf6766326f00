/** Generations made elsewhere: a file of JSON lines, each with a row's number or id and what was written for it. */
import { createHash } from 'node:crypto'
import { invalidArgument } from '../contracts/errors.ts'
import { readJsonLines } from '../contracts/json-lines.ts'
import { readRollout } from '../contracts/read-rollout.ts'
import { defaultSplitter, type StepSplitter } from '../contracts/step-splitter.ts'
import type { AnswerSet } from './answer-set.ts'
import { checkSame, type Solution, type SolutionStore } from './solutions.ts'

type Set = Pick<AnswerSet, 'items' | 'hashes' | 'rows' | 'beyond'>
type Line = Readonly<Record<string, unknown>>

/** `{"row" | "id", "responses": […]}`; also `response` or `text` for one, and `candidates` of `{text}`. */
function textsOf(value: Line): string[] | undefined {
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

/** The id as the set has it; a variant may stand beside it. */
function idOf(value: Line): string | undefined {
  const { id, variant } = value
  if (id === undefined || id === null) return undefined
  return variant === undefined || variant === null ? String(id) : `${id}/${variant}`
}

/** The problem that a line is of; undefined where it lies beyond the limit. @throws EngineError INVALID_ARGUMENT */
function placeOf(value: Line, { items, rows, beyond }: Set, indexOf: ReadonlyMap<string, number>, where: string) {
  const [row, id] = [value['row'] ?? undefined, idOf(value)]
  if (row === undefined && id === undefined) throw invalidArgument(`${where}: no "row" (from 0) or "id"`)
  if (row === undefined) {
    const index = indexOf.get(id as string)
    if (index === undefined && !beyond.has(id as string)) throw invalidArgument(`${where}: no problem has the id "${id}"`)
    return index
  }
  if (typeof row !== 'number' || !Number.isInteger(row) || row < 0 || row >= rows)
    throw invalidArgument(`${where}: "row" is ${JSON.stringify(row)}; rows are whole numbers from 0 to ${rows - 1}`)
  const own = items[row]?.problem.id
  if (own === undefined) return undefined
  if (id !== undefined && own !== id && !own.startsWith(`${id}/`))
    throw invalidArgument(`${where}: row ${row} is "${own}" and not "${id}": the file is of other rows, or in another order`)
  return row
}

/** By problem. @throws EngineError INVALID_ARGUMENT with the line that is wrong */
async function readTexts(path: string, set: Set): Promise<(string[] | undefined)[]> {
  const indexOf = new Map(set.items.map(({ problem }, i) => [problem.id, i]))
  const texts: (string[] | undefined)[] = set.items.map(() => undefined)
  for await (const { line, value, problem } of readJsonLines(path)) {
    const where = `${path}, line ${line}`
    if (!value) throw invalidArgument(`${where}: ${problem}`)
    const index = placeOf(value, set, indexOf, where)
    if (index === undefined) continue
    const given = textsOf(value)
    if (!given) throw invalidArgument(`${where}: "responses" must be a list of texts`)
    if (texts[index]) throw invalidArgument(`${where}: "${set.items[index]?.problem.id}" appears twice`)
    texts[index] = given
  }
  return texts
}

/**
 * Enters the file's texts as the solutions of their problems; those without any have an error that says so.
 * @throws EngineError INVALID_ARGUMENT with the line that is wrong; what is stored is of other rows or texts; STORE
 */
export async function enterResponses(store: SolutionStore, path: string, set: Set, splitter?: StepSplitter): Promise<void> {
  const all = await readTexts(path, set)
  const lines = set.items.map(({ problem: { id } }, i) => {
    const [row, texts] = [set.hashes[i] as string, all[i] ?? []]
    const hash = createHash('sha256').update(JSON.stringify([row, splitter?.name, texts])).digest('hex') // biome-ignore format: one hash
    return { id, hash, row, from: 0, texts }
  })
  for (const { id, hash } of lines) checkSame(store, id, hash, 'file of responses')
  for (const [i, { texts, ...head }] of lines.entries()) {
    if (store.hashOf(head.id) === head.hash || set.items[i]?.refused !== undefined) continue
    const solutions = texts.map((text) => readSolution(text, splitter))
    await store.append(texts.length > 0 ? { ...head, solutions } : { ...head, error: 'no response' })
  }
}

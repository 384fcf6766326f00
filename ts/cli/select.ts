/** `mm-prm select`: Best-of-N choices from scored candidates. */
import { invalidArgument } from '../contracts/errors.ts'
import { inputBytes, readJsonLines } from '../contracts/json-lines.ts'
import {
  AGGREGATIONS,
  choiceOf,
  type ScoredItem,
  type SelectionRow,
  selectBest,
  selectionTable,
  sweepN,
} from '../select/index.ts'
import { type Command, EXIT, readOptions, required } from './command.ts'
import { type BadLine, badLine } from './lines.ts'
import { formatColumns } from './table.ts'

const USAGE = `usage: mm-prm select --input FILE.jsonl [options]

Each line is {"id", "labels"?: [0|1, ...], "scores": [[...], ...], "std"?: [[...], ...], "answers"?: [...]}, one entry per
candidate; one whose scores are [] or null (not scored) ranks behind all others. std: spread of each score. Prints a table of accuracies with 95 % bootstrap
intervals (labels needed), votes where answers are given, and an N sweep.

  --input FILE       JSON lines; - for standard input
  --aggregate LIST   ${AGGREGATIONS.join(', ')} (default: all);
                     the reference's names average and mean_odd are accepted; with -std behind it (min-std) each score is
                     lowered by its spread first
  --per-item         also what is chosen for each line (several indices on a tie)
  --seed S           of the bootstrap (default 0)
  --json             one JSON object`

const OPTIONS = {
  input: { type: 'string' },
  aggregate: { type: 'string' },
  'per-item': { type: 'boolean' },
  seed: { type: 'string' },
  json: { type: 'boolean' },
} as const

function isScores(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((p) => typeof p === 'number' && p >= 0 && p <= 1)
}

/** Checks one line; the message names the field. */
export function readItem(value: Record<string, unknown>): ScoredItem {
  const { id, labels, scores, std, answers } = value
  if (typeof id !== 'string' && typeof id !== 'number') throw invalidArgument('"id" must be a string or a number')
  if (!Array.isArray(scores) || scores.length === 0) throw invalidArgument('"scores" must be a list with one list per candidate')
  scores.forEach((s, i) => {
    if (s !== null && !isScores(s)) throw invalidArgument(`"scores"[${i}] must be a list of numbers in [0, 1], or null`)
  })
  const perCandidate = (name: string, list: unknown, good: (v: unknown) => boolean, what: string) => {
    if (list === undefined || list === null) return
    if (!Array.isArray(list) || list.length !== scores.length)
      throw invalidArgument(`"${name}" must have one entry per candidate, ${scores.length}`)
    const bad = list.findIndex((v) => !good(v))
    if (bad >= 0) throw invalidArgument(`"${name}"[${bad}] must be ${what}`)
  }
  const fits = (own: unknown, i: number) => own === null || (isScores(own) && own.length === (scores[i]?.length ?? 0))
  perCandidate('std', std, () => true, '')
  const bad = Array.isArray(std) ? std.findIndex((own, i) => !fits(own, i)) : -1
  if (bad >= 0) throw invalidArgument(`"std"[${bad}] must hold a number in [0, 1] for each score, or be null`)
  perCandidate('labels', labels, (v) => v === 0 || v === 1, '0 or 1')
  perCandidate('answers', answers, (v) => v === null || typeof v === 'string', 'a string or null')
  return {
    id,
    scores: scores.map((s: number[] | null) => s ?? []),
    ...(std != null && { std: std as (number[] | null)[] }),
    labels: (labels ?? undefined) as number[] | undefined,
    answers: (answers ?? undefined) as (string | null)[] | undefined,
  }
}

async function readItems(path: string): Promise<{ items: ScoredItem[]; bad: BadLine[] }> {
  await inputBytes(path)
  const items: ScoredItem[] = []
  const bad: BadLine[] = []
  for await (const line of readJsonLines(path)) {
    try {
      if (!line.value) throw invalidArgument(line.problem ?? 'unreadable')
      items.push(readItem(line.value))
    } catch (error) {
      bad.push(badLine(line, error))
    }
  }
  return { items, bad }
}

const percent = (x: number) => (100 * x).toFixed(1)
const interval = (e: SelectionRow['estimate']) => [percent(e.value), `${percent(e.low)} to ${percent(e.high)}`]

/** Powers of two up to the smallest number of candidates. */
function sweepSizes(items: readonly ScoredItem[]): number[] {
  const most = Math.min(...items.map((item) => item.scores.length))
  const sizes: number[] = []
  for (let n = 2; n <= most; n *= 2) sizes.push(n)
  return sizes
}

export function selectionReport(items: readonly ScoredItem[], names: readonly string[], seed: string) {
  if (items.length === 0 || !items.every((item) => item.labels)) return { rows: [], sweep: [] }
  const sizes = sweepSizes(items)
  return {
    rows: selectionTable(items, names, seed),
    sweep: names.map((name) => ({ name, sizes: sweepN(items, name, sizes, seed) })),
  }
}

function printChoices(items: readonly ScoredItem[], names: readonly string[]): void {
  const rows = items.map((item) => [String(item.id), ...names.map((n) => selectBest(item, n).join(' or '))])
  process.stdout.write(formatColumns([['id', ...names], ...rows]))
}

export function printSelection(
  table: ReturnType<typeof selectionReport>,
  items: readonly ScoredItem[],
  names: readonly string[],
): void {
  if (table.rows.length === 0) {
    printChoices(items, names)
    return
  }
  process.stdout.write(`${items.length} problems; accuracy in %, 95 % bootstrap interval\n\n`)
  process.stdout.write(
    formatColumns([['choice', 'accuracy', 'interval'], ...table.rows.map((r) => [r.name, ...interval(r.estimate)])]),
  )
  const sizes = table.sweep[0]?.sizes ?? []
  if (sizes.length === 0) return
  process.stdout.write('\nby N\n')
  const rows = table.sweep.map((s) => [s.name, ...s.sizes.map((x) => percent(x.estimate.value))])
  process.stdout.write(formatColumns([['choice', ...sizes.map((s) => String(s.n))], ...rows]))
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const input = required(values.input, 'input')
  const names = values.aggregate === undefined ? AGGREGATIONS : values.aggregate.split(',').map((n) => n.trim())
  names.forEach(choiceOf)
  const { items, bad } = await readItems(input)
  const table = selectionReport(items, names, values.seed ?? '0')
  for (const b of bad) process.stderr.write(`${input}: line ${b.error.line}: ${b.error.message}\n`)
  const unlabelled = items.filter((item) => !item.labels)
  if (unlabelled.length > 0 && unlabelled.length < items.length)
    process.stderr.write(`${input}: no accuracies: ${unlabelled.length} of ${items.length} items have no labels, "${unlabelled[0]?.id}" first\n`) // biome-ignore format: a message
  if (values.json) {
    const chosen = items.map((item) => ({
      id: item.id,
      selected: Object.fromEntries(names.map((n) => [n, selectBest(item, n)])),
    }))
    process.stdout.write(
      `${JSON.stringify({ ...(values['per-item'] && { items: chosen }), table, ...(bad.length > 0 && { errors: bad }) })}\n`,
    )
  } else if (items.length > 0) {
    if (values['per-item'] && table.rows.length > 0) {
      printChoices(items, names)
      process.stdout.write('\n')
    }
    printSelection(table, items, names)
  }
  return bad.length > 0 ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }

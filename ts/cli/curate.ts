/** `mm-prm curate`: keeps the problems that are fit to be searched and reports the others. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import sharp from 'sharp'
import { invalidArgument, storeError } from '../contracts/errors.ts'
import type { Problem, ProblemImage } from '../contracts/problem.ts'
import { curate, type Dropped, QUESTION_TYPES, type QuestionType, readProblems } from '../problems/index.ts'
import { canDecide, ruleVerifier } from '../verify/index.ts'
import { type Command, EXIT, oneOf, readOptions, required } from './command.ts'
import { writeLine } from './lines.ts'
import { Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const USAGE = `usage: mm-prm curate --input FILE --output FILE.jsonl [options]

Reads problems (.json as the reference's seeds, .jsonl, .csv, .parquet), drops duplicates, missing or broken images,
answers that rules cannot verify, unwanted question types and leaks from a test set, and writes the others. Exit code
${EXIT.someLinesBad} when rows were unreadable.

  --input FILE        problems
  --output FILE       kept problems, JSON lines {"id","question","answer","image"?}
  --report FILE       dropped ones as JSON: reason and detail each
  --types LIST        ${QUESTION_TYPES.join(', ')} (default: all but proof and words)
  --test-set FILE     problems that must not be trained on
  --leak-overlap X    share of shared word 8-grams that makes a leak (default 0.8)
  --json              the summary as JSON`

const OPTIONS = {
  input: { type: 'string' },
  output: { type: 'string' },
  report: { type: 'string' },
  types: { type: 'string' },
  'test-set': { type: 'string' },
  'leak-overlap': { type: 'string' },
  json: { type: 'boolean' },
} as const

interface BadRow {
  file: string
  row: number
  id: string | null
  error: string
}

async function* goodProblems(path: string, bad: BadRow[]): AsyncGenerator<Problem> {
  for await (const row of readProblems(path)) {
    if ('problem' in row) yield row.problem
    else bad.push({ file: path, row: row.row, id: row.id, error: row.error })
  }
}

/** Hash of the decoded pixels: the same picture in two files is one picture. */
async function hashImage(image: ProblemImage): Promise<string> {
  const input =
    typeof image === 'string' && /^data:/i.test(image) ? Buffer.from(image.slice(image.indexOf(',') + 1), 'base64') : image
  const { data, info } = await sharp(input).raw().toBuffer({ resolveWithObject: true })
  return createHash('sha256').update(`${info.width} ${info.height} ${info.channels}`).update(data).digest('hex')
}

function outputRow({ id, question, answer, image, meta }: Problem): object {
  const field =
    image === undefined || typeof image === 'string'
      ? image
      : `data:application/octet-stream;base64,${Buffer.from(image).toString('base64')}`
  return { ...meta, id, question, answer, ...(field !== undefined && { image: field }) }
}

function readTypes(list: string | undefined): QuestionType[] | undefined {
  return list?.split(',').map((t) => oneOf(t.trim(), 'types', QUESTION_TYPES) as QuestionType)
}

function readOverlap(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const n = Number(value)
  if (!(n > 0 && n <= 1)) throw invalidArgument(`--leak-overlap must lie in (0, 1], got "${value}"`)
  return n
}

function summarize(kept: number, dropped: readonly Dropped[], bad: readonly BadRow[]) {
  const reasons: Record<string, number> = {}
  for (const d of dropped) reasons[d.reason] = (reasons[d.reason] ?? 0) + 1
  return { kept, dropped: reasons, unreadable: bad.length }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const input = required(values.input, 'input')
  const output = required(values.output, 'output')
  const types = readTypes(values.types)
  const leakOverlap = readOverlap(values['leak-overlap'])
  const bad: BadRow[] = []
  const testSet: Problem[] = []
  if (values['test-set']) for await (const p of goodProblems(values['test-set'], bad)) testSet.push(p)
  const out = createWriteStream(output)
  await once(out, 'open').catch((error: Error) => {
    throw storeError(`--output ${output}: ${error.message}`, error)
  })
  const progress = new Progress('curating')
  const dropped: Dropped[] = []
  let kept = 0
  const options = {
    verifier: ruleVerifier(),
    isVerifiable: (answer: string) => canDecide(answer, answer),
    hashImage,
    testSet,
    ...(types && { types }),
    ...(leakOverlap !== undefined && { leakOverlap }),
    onProgress: (done: number) => progress.update(`${done} problems`),
  }
  for await (const result of curate(goodProblems(input, bad), options)) {
    if (result.dropped) dropped.push(result.dropped)
    else {
      await writeLine(out, JSON.stringify(outputRow(result.problem)))
      kept++
    }
  }
  out.end()
  await once(out, 'finish')
  const summary = summarize(kept, dropped, bad)
  if (values.report) await writeFile(values.report, `${JSON.stringify({ summary, dropped, unreadable: bad }, null, 2)}\n`)
  progress.finish(`${kept} kept, ${dropped.length} dropped`)
  for (const b of bad) process.stderr.write(`${b.file}: row ${b.row}${b.id === null ? '' : ` (id ${b.id})`}: ${b.error}\n`)
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`)
  else
    process.stdout.write(
      formatColumns([
        ['kept', String(kept)],
        ...Object.entries(summary.dropped).map(([r, n]) => [`dropped: ${r}`, String(n)]),
        ['unreadable', String(bad.length)],
      ]),
    )
  return bad.length > 0 ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }

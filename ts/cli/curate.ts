/** `mm-prm curate`: keeps the problems that are fit to be searched and reports the others. */
import { rename, rm, writeFile } from 'node:fs/promises'
import { DecisionFile } from '../contracts/decisions.ts'
import { rolloutIdentity } from '../contracts/policy.ts'
import type { Problem } from '../contracts/problem.ts'
import { storableImage } from '../images/index.ts'
import {
  type CurateOptions,
  curate,
  type Dropped,
  type PolicyObjection,
  QUESTION_TYPES,
  type QuestionType,
  readProblems,
  type SameAnswer,
} from '../problems/index.ts'
import { canDecide, verifyAnswer } from '../verify/index.ts'
import { Closing } from './closing.ts'
import { type Command, EXIT, numberIn, oneOf, positiveInteger, readOptions, required, UsageError } from './command.ts'
import { ENGINE_OPTIONS } from './engine-options.ts'
import { interruptible, sayStopped } from './interrupt.ts'
import { JUDGE_OPTIONS, JUDGE_USAGE, openVerifier } from './judge-options.ts'
import { FirstNote, LineFile } from './lines.ts'
import { openPolicy, POLICY_OPTIONS, POLICY_USAGE } from './policy-options.ts'
import { Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const USAGE = `usage: mm-prm curate --input FILE --output FILE.jsonl [options]

Reads problems (.json as the reference's seeds, .jsonl, .csv, .parquet), drops duplicates (same question, image and
answer), missing or broken images, answers that rules cannot verify, unwanted question types and leaks from a test set,
and writes the others. With a
policy (--model) it also drops problems that the policy always or never solves, and on request those that it solves
without their image. Exit code ${EXIT.someLinesBad} when rows were unreadable or the policy failed on some. The
output appears when it is complete; after Ctrl-C or a crash --resume goes on without asking the policy anything twice.

  --input FILE             problems
  --output FILE            kept problems, JSON lines {"id","question","answer","image"?}
  --report FILE            dropped ones as JSON: reason and detail each
  --types LIST             ${QUESTION_TYPES.join(', ')} (default: all but proof and words)
  --test-set FILE          problems that must not be trained on
  --leak-overlap X         share of shared word 8-grams that makes a leak (default 0.8)
  --min-pass-rate X        keep problems solved more often than X (default 0)
  --max-pass-rate X        and less often than X (default 1)
  --max-text-only-rate X   drop problems solved at this rate or more without their image (default: not asked)
  -n N                     rollouts of a problem for each of the two rates (default 8); --rollouts is the same
  --seed S                 whole number (default 0)
  --in-flight N            problems that the policy is asked about at once (default: what keeps it busy)
  --resume                 go on with a curation that was stopped
${JUDGE_USAGE}
${POLICY_USAGE}
  --json                   the summary as JSON`

const OPTIONS = {
  ...POLICY_OPTIONS,
  ...JUDGE_OPTIONS,
  input: { type: 'string' },
  output: { type: 'string' },
  report: { type: 'string' },
  types: { type: 'string' },
  'test-set': { type: 'string' },
  'leak-overlap': { type: 'string' },
  'min-pass-rate': { type: 'string' },
  'max-pass-rate': { type: 'string' },
  'max-text-only-rate': { type: 'string' },
  n: { type: 'string', short: 'n' },
  rollouts: { type: 'string' },
  seed: { type: 'string' },
  'in-flight': { type: 'string' },
  resume: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

const FILTER_OPTIONS = ['min-pass-rate', 'max-pass-rate', 'max-text-only-rate', 'n', 'rollouts', 'seed', 'in-flight']
const SHARED_WITH_JUDGE = [...Object.keys(ENGINE_OPTIONS), 'api-key-file']

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values']

interface BadRow {
  file: string
  row: number
  id: string | null
  error: string
}

async function* goodProblems(path: string, bad: BadRow[]): AsyncGenerator<Problem> {
  const once = new FirstNote(path)
  for await (const row of readProblems(path)) {
    once.tell(row)
    if ('problem' in row) yield row.problem
    else bad.push({ file: path, row: row.row, id: row.id, error: row.error })
  }
}

function outputRow({ id, question, answer, image, meta }: Problem): object {
  return { ...meta, id, question, answer, ...(image !== undefined && { image: storableImage(image) }) }
}

/** Rules may know an answer from one side only: 35 for 35 %. */
const isSameAnswer: SameAnswer = ({ answer: a }, { answer: b }) => verifyAnswer(a, b).match || verifyAnswer(b, a).match

function readTypes(list: string | undefined): QuestionType[] | undefined {
  return list?.split(',').map((t) => oneOf(t.trim(), 'types', QUESTION_TYPES) as QuestionType)
}

/** What is asked of a policy; undefined where nothing is. */
function readFilter(values: Values) {
  const rate = (name: 'min-pass-rate' | 'max-pass-rate' | 'max-text-only-rate') =>
    numberIn(values[name], name, { min: 0, max: 1 })
  const [above = 0, below = 1, maxTextOnlyRate] = [rate('min-pass-rate'), rate('max-pass-rate'), rate('max-text-only-rate')]
  if (above >= below) throw new UsageError(`--min-pass-rate ${above} must be below --max-pass-rate ${below}`)
  const filter = {
    passRate: { above, below },
    ...(maxTextOnlyRate !== undefined && { maxTextOnlyRate }),
    n: positiveInteger(values.n ?? values.rollouts, values.n === undefined ? 'rollouts' : 'n') ?? 8,
    seed: numberIn(values.seed, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true }) ?? 0,
  }
  const inFlight = positiveInteger(values['in-flight'], 'in-flight')
  const isJudges = (name: string) => values['judge-model'] !== undefined && SHARED_WITH_JUDGE.includes(name)
  const names = [...Object.keys(POLICY_OPTIONS), ...FILTER_OPTIONS].filter((name) => !isJudges(name))
  const asked = names.find((name) => values[name as keyof Values] !== undefined)
  if (asked === undefined) return undefined
  if (values.model === undefined) throw new UsageError(`--${asked} needs a policy: --model`)
  return { filter, inFlight }
}

function summarize(kept: number, dropped: readonly Dropped[], bad: readonly BadRow[]) {
  const reasons: Record<string, number> = {}
  for (const d of dropped) reasons[d.reason] = (reasons[d.reason] ?? 0) + 1
  return { kept, dropped: reasons, unreadable: bad.length }
}

type Settings = Omit<CurateOptions, 'problems'>

/** Opens what the options ask for; `closing` receives what is to be closed at the end. */
async function curateOptions(
  values: Values,
  bad: BadRow[],
  closing: Closing,
  signal: AbortSignal,
): Promise<Settings & { asked?: DecisionFile<PolicyObjection | null> }> {
  const types = readTypes(values.types)
  const leakOverlap = numberIn(values['leak-overlap'], 'leak-overlap', { above: 0, max: 1 })
  const asked = readFilter(values)
  const testSet: Problem[] = []
  if (values['test-set']) for await (const p of goodProblems(values['test-set'], bad)) testSet.push(p)
  const verifier = await openVerifier(values)
  closing.add(verifier.close)
  const policy = asked && (await openPolicy(values))
  if (policy) closing.add(policy.close)
  const settings = asked && policy && { ...asked.filter, policy: rolloutIdentity(policy.identity), verifier: verifier.name }
  return {
    ...(settings && { asked: new DecisionFile(`${values.output}.asked.jsonl`, settings, values.resume ?? false) }),
    onWarning: (warning: string) => process.stderr.write(`mm-prm: ${warning}\n`),
    ...{ signal, verifier, testSet, isSameAnswer, isVerifiable: (answer: string) => canDecide(answer, answer) },
    ...(types && { types }),
    ...(leakOverlap !== undefined && { leakOverlap }),
    ...(asked && policy && { ...asked.filter, policy, inFlight: asked.inFlight ?? policy.inFlight }),
  }
}

/** Writes the kept problems; returns how many, and the others. The file has its name when it is complete. */
async function writeKept(input: string, output: string, bad: BadRow[], options: Settings) {
  const unfinished = `${output}.part`
  await using out = await LineFile.open(unfinished, 'w')
  const progress = new Progress('curating')
  const onProgress = (done: number) => progress.update(`${done} problems`)
  const dropped: Dropped[] = []
  let kept = 0
  for await (const result of curate({ problems: goodProblems(input, bad), ...options, onProgress })) {
    if (result.dropped) dropped.push(result.dropped)
    else {
      await out.write(JSON.stringify(outputRow(result.problem)))
      kept++
    }
  }
  await out.close()
  await rename(unfinished, output)
  progress.finish(`${kept} kept, ${dropped.length} dropped`)
  return { kept, dropped }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const input = required(values.input, 'input')
  const output = required(values.output, 'output')
  const bad: BadRow[] = []
  const result = await interruptible(async (signal) => {
    await using closing = new Closing()
    closing.add(() => rm(`${output}.part`, { force: true }))
    const options = await curateOptions(values, bad, closing, signal)
    const written = await writeKept(input, output, bad, options)
    // Where the policy failed on some, --resume asks about these again and about no other.
    if (!written.dropped.some((d) => d.reason === 'policy')) options.asked?.remove()
    else process.stderr.write('mm-prm: the same command with --resume asks again about problems on which the policy failed\n')
    return written
  })
  if (!result) return sayStopped()
  const { kept, dropped } = result
  const summary = summarize(kept, dropped, bad)
  if (values.report) await writeFile(values.report, `${JSON.stringify({ summary, dropped, unreadable: bad }, null, 2)}\n`)
  for (const b of bad) process.stderr.write(`${b.file}: row ${b.row}${b.id === null ? '' : ` (id ${b.id})`}: ${b.error}\n`)
  for (const d of dropped) if (d.reason === 'policy') process.stderr.write(`${d.id}: ${d.detail}\n`)
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`)
  else
    process.stdout.write(
      formatColumns([
        ['kept', String(kept)],
        ...Object.entries(summary.dropped).map(([r, n]) => [`dropped: ${r}`, String(n)]),
        ['unreadable', String(bad.length)],
      ]),
    )
  return bad.length > 0 || summary.dropped['policy'] !== undefined ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }

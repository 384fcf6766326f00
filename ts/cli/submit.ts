/** `mm-prm submit`: a search for many machines, as a run in a database. */
import { withEncoded } from '../images/index.ts'
import { identityOf } from '../search/runner.ts'
import type { SubmittedProblem } from '../store/postgres/index.ts'
import { type Command, EXIT, readOptions, required, UsageError } from './command.ts'
import { openSettings, runValues } from './run-settings.ts'
import { checkProblems, goodProblems, SEARCH_OPTIONS, STRATEGY_USAGE } from './search.ts'
import { readStore, STORE_OPTIONS, STORE_USAGE, withRuns } from './store-options.ts'

const USAGE = `usage: mm-prm submit --store URL --problems FILE --model DIR|NAME [options]

Makes a run of the problems, their pictures included, for workers on any machine (mm-prm worker), and prints its name. The
same problems and options are the same run: submitting again takes up what was given up.

${STORE_USAGE}
  --problems FILE          .json, .jsonl, .csv or .parquet
  --skip-bad               leave out problem rows that cannot be read (default: they end the command)
${STRATEGY_USAGE}
  --json                   {"run": NAME} on standard output`

const OPTIONS = { ...SEARCH_OPTIONS, store: STORE_OPTIONS.store } as const

async function withPictures(file: string): Promise<SubmittedProblem[]> {
  const problems: SubmittedProblem[] = []
  for await (const problem of goodProblems(file)) {
    const { image } = problem
    if (typeof image !== 'string' || /^data:/i.test(image)) problems.push({ problem })
    else problems.push({ problem, imageBytes: await withEncoded(image, {}, async ({ bytes }) => Uint8Array.from(bytes)) })
  }
  return problems
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const { store, ...search } = values
  for (const name of ['out', 'resume', 'in-flight'] as const)
    if (search[name] !== undefined) throw new UsageError(`--${name} is not for submit: results are kept in --store`)
  const { url } = readStore({ store })
  const file = required(search.problems, 'problems')
  await checkProblems(file, search['skip-bad'] ?? false)
  const problems = await withPictures(file)
  await using opened = await openSettings(search)
  const identity = identityOf(opened.settings)
  const name = await withRuns(url, (runs) => runs.submit(identity, runValues(search), problems))
  process.stdout.write(values.json ? `${JSON.stringify({ run: name })}\n` : `${name}\n`)
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

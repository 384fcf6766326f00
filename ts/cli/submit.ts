/** `mm-prm submit`: a search for many machines, as a run in a database. */
import { createHash } from 'node:crypto'
import { relative, resolve } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { type Problem, type ProblemImage, picturesOf } from '../contracts/problem.ts'
import { withEncoded } from '../images/index.ts'
import { identityOf } from '../search/runner.ts'
import type { SubmittedPicture, SubmittedProblem } from '../store/postgres/index.ts'
import { type Command, EXIT, readOptions, required, UsageError } from './command.ts'
import { warn } from './hub-model.ts'
import { openSettings, runValues } from './run-settings.ts'
import { checkProblems, goodProblems, SEARCH_OPTIONS, STRATEGY_USAGE } from './search.ts'
import { readStore, STORE_OPTIONS, STORE_USAGE, withRuns } from './store-options.ts'

const USAGE = `usage: mm-prm submit --store URL --problems FILE --model DIR|NAME [options]

Makes a run of the problems, their pictures included, for workers on any machine (mm-prm worker), and prints its name. The
same problems and options are the same run: submitting again takes up what was given up.

${STORE_USAGE}
  --problems FILE          .json, .jsonl, .csv or .parquet
  --image-root DIR         a folder on a disk that workers share: pictures in it are not kept in the database (default: all are)
  --skip-bad               leave out problem rows that cannot be read (default: they end the command)
${STRATEGY_USAGE}
  --json                   {"run": NAME} on standard output`

const OPTIONS = { ...SEARCH_OPTIONS, store: STORE_OPTIONS.store, 'image-root': { type: 'string' } } as const

/** What a picture named by a path is: its bytes, or with `root` its hash, since workers have the same disk. */
async function pictureOf(image: ProblemImage, root: string | undefined): Promise<SubmittedPicture | undefined> {
  if (typeof image !== 'string' || /^data:/i.test(image)) return undefined
  if (root !== undefined && relative(root, resolve(image)).startsWith('..'))
    throw invalidArgument(`--image-root ${root}: the picture ${image} does not lie in it`)
  return withEncoded(image, {}, async ({ bytes }) =>
    root === undefined ? { bytes: Uint8Array.from(bytes) } : { hash: createHash('sha256').update(bytes).digest('hex') },
  )
}

/** Problems with what their pictures are. @throws EngineError INVALID_ARGUMENT naming a picture that cannot be read */
export async function withPictures(all: AsyncIterable<Problem> | Iterable<Problem>, root?: string): Promise<SubmittedProblem[]> {
  const problems: SubmittedProblem[] = []
  for await (const problem of all) {
    const pictures: (SubmittedPicture | undefined)[] = []
    for (const image of picturesOf(problem)) pictures.push(await pictureOf(image, root))
    problems.push({ problem, pictures })
  }
  return problems
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const { store, 'image-root': folder, ...search } = values
  const root = folder === undefined ? undefined : resolve(folder)
  for (const name of ['out', 'resume', 'in-flight'] as const)
    if (search[name] !== undefined) throw new UsageError(`--${name} is not for submit: results are kept in --store`)
  const { url } = readStore({ store })
  const file = required(search.problems, 'problems')
  await checkProblems(file, search['skip-bad'] ?? false)
  // WHY before pictures are read and a model is opened: a database that cannot be used is told at once.
  const name = await withRuns(url, async (runs) => {
    const problems = await withPictures(goodProblems(file), root)
    await using opened = await openSettings(search)
    const identity = identityOf(opened.settings)
    const own = { ...runValues(search), ...(root !== undefined && { 'image-root': root }) }
    const submitted = await runs.submit(identity, own, problems)
    const { status } = (await runs.find(submitted)).row
    if (status !== 'active') warn(`run ${submitted} was there already and is ${status}: mm-prm resume lets workers go on with it`)
    return submitted
  })
  process.stdout.write(values.json ? `${JSON.stringify({ run: name })}\n` : `${name}\n`)
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

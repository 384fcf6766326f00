/** `mm-prm tasks`: Mini-K12 problems with pictures, questions to a database, or sums in words, made by seed. */
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import { taskLine, writeTasks } from '../mini/problems.ts'
import { findDoor } from '../store/driver.ts'
import { FAMILIES, findFamily, IN_DOMAIN, type Level, OUT_OF_DOMAIN, PARTS } from '../tasks/index.ts'
import { SQL_DATABASES, sqlDatabase, sqlProblem } from '../tasks/sql.ts'
import { type SumProblem, sumProblem } from '../tasks/sums.ts'
import { type Command, EXIT, oneOf, positiveInteger, readOptions, required, UsageError } from './command.ts'
import { LineFile } from './lines.ts'
import { Progress } from './progress.ts'

const USAGE = `usage: mm-prm tasks --out DIR [options]

Writes problems.jsonl ({"id","question","answer","image","family","level","steps"}; steps: a worked solution, its answer
last) and one PNG per problem. The same seed gives the same problems and pixels everywhere.

  --out DIR          where files go
  --count N          problems (default 100)
  --families LIST    in-domain (default), out-of-domain, all, or names: ${FAMILIES.map((f) => f.name).join(', ')}
  --levels LIST      1, 2, 3 (default all)
  --part P           train or test: pictures that the shipped models have, or have not, seen in training (default both)
  --sql              questions to small SQLite databases instead: {"id","question","answer","db_id","level"}, answer: a query;
                     the databases lie in DIR/databases, for --verifier sql
  --sums             sums in words instead, without pictures: {"id","question","answer","level","steps"}; every step is an equation
                     that code can check
  --seed S           default 0
  --json             what was written, as one object`

const OPTIONS = {
  out: { type: 'string' },
  count: { type: 'string' },
  families: { type: 'string' },
  levels: { type: 'string' },
  part: { type: 'string' },
  sql: { type: 'boolean' },
  sums: { type: 'boolean' },
  seed: { type: 'string' },
  json: { type: 'boolean' },
} as const

const SETS = { 'in-domain': IN_DOMAIN, 'out-of-domain': OUT_OF_DOMAIN, all: FAMILIES } as const

function readFamilies(list = 'in-domain') {
  if (Object.hasOwn(SETS, list)) return SETS[list as keyof typeof SETS]
  return list.split(',').map((name) => findFamily(name.trim()))
}

function readLevels(list: string | undefined): Level[] | undefined {
  return list?.split(',').map((text) => {
    const level = Number(text)
    if (level !== 1 && level !== 2 && level !== 3) throw new UsageError(`--levels: 1, 2 or 3, got "${text}"`)
    return level
  })
}

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values']

/** Those of a seed, each made anew. */
async function writeDatabases(folder: string, seed: string): Promise<void> {
  makeFolder(folder)
  for (let i = 0; i < SQL_DATABASES; i++) {
    const { db_id, statements } = sqlDatabase(seed, i)
    const path = join(folder, `${db_id}.sqlite`)
    await rm(path, { force: true })
    const database = findDoor().open(path)
    for (const statement of statements) database.exec(statement)
    database.close()
  }
}

/** As those with pictures have it: the answer is the last of the steps. */
const sumLine = ({ steps, ...problem }: SumProblem) => JSON.stringify({ ...problem, steps: [...steps, problem.answer] })

async function* lines(values: Values, out: string, count: number): AsyncGenerator<string> {
  const { seed = '0', families, part } = values
  const choice = { levels: readLevels(values.levels), part: oneOf(part, 'part', PARTS) }
  if (!values.sql && !values.sums) {
    for await (const { mini } of writeTasks(out, readFamilies(families), seed, count, choice)) yield taskLine(mini)
    return
  }
  if (values.sql && values.sums) throw new UsageError('--sql and --sums are two sets of problems: one of them')
  if (families !== undefined || part !== undefined) throw new UsageError('--families and --part are for problems with pictures')
  if (values.sums) {
    for (let i = 0; i < count; i++) yield sumLine(sumProblem(seed, i, choice.levels))
    return
  }
  if (!/^\w+$/.test(seed)) throw new UsageError(`--seed names databases here: letters, digits and _ alone, got "${seed}"`)
  await writeDatabases(join(out, 'databases'), seed)
  for (let i = 0; i < count; i++) yield JSON.stringify(sqlProblem(seed, i, choice.levels))
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const out = required(values.out, 'out')
  const count = positiveInteger(values.count, 'count') ?? 100
  readFamilies(values.families)
  makeFolder(out)
  const path = join(out, 'problems.jsonl')
  await using file = await LineFile.open(`${path}.part`, 'w')
  const progress = new Progress('tasks')
  let done = 0
  for await (const line of lines(values, out, count)) {
    await file.write(line)
    progress.update(`${++done} of ${count}`, done / count)
  }
  await file.close()
  await rename(`${path}.part`, path)
  progress.finish(`${done} problems in ${out}`)
  if (values.json) process.stdout.write(`${JSON.stringify({ problems: done, file: path })}\n`)
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

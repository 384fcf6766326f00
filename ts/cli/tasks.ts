/** `mm-prm tasks`: Mini-K12 problems with pictures, made by seed. */

import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import { taskLine, writeTasks } from '../mini/problems.ts'
import { FAMILIES, findFamily, IN_DOMAIN, type Level, OUT_OF_DOMAIN, PARTS } from '../tasks/index.ts'
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
  --seed S           default 0
  --json             what was written, as one object`

const OPTIONS = {
  out: { type: 'string' },
  count: { type: 'string' },
  families: { type: 'string' },
  levels: { type: 'string' },
  part: { type: 'string' },
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

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const out = required(values.out, 'out')
  const count = positiveInteger(values.count, 'count') ?? 100
  const families = readFamilies(values.families)
  const choice = { levels: readLevels(values.levels), part: oneOf(values.part, 'part', PARTS) }
  makeFolder(out)
  const path = join(out, 'problems.jsonl')
  await using file = await LineFile.open(`${path}.part`, 'w')
  const progress = new Progress('tasks')
  let done = 0
  for await (const { mini } of writeTasks(out, families, values.seed ?? '0', count, choice)) {
    await file.write(taskLine(mini))
    progress.update(`${++done} of ${count}`, done / count)
  }
  await file.close()
  await rename(`${path}.part`, path)
  progress.finish(`${done} problems in ${out}`)
  if (values.json) process.stdout.write(`${JSON.stringify({ problems: done, file: path })}\n`)
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

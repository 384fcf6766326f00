/** Queries of models on SQLite files, run in a sandbox: nothing is written, and each has bounds on rows and time. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { invalidArgument, policyError } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'
import type { Runner } from '../contracts/runner.ts'

export interface SqlLimits {
  readonly rows: number
  /** For each query. */
  readonly seconds: number
}

export const SQL_LIMITS: SqlLimits = { rows: 100_000, seconds: 30 }

/** Of one query. */
export type QueryResult =
  | {
      /** The same for the same set of rows: order and repetitions do not count, and 1 is 1.0. */
      readonly set: string
      readonly rows: number
      /** `{(1, 'a'): 2}`: rows as Python shows them, with how often each came; cut behind 500 characters. */
      readonly shown: string
    }
  | { readonly error: string; readonly outOfTime: boolean }

const MEMORY_BYTES = 2 ** 30
const OUTPUT_BYTES = 4 * 2 ** 20

/** One line of JSON for each query. */
const PROGRAM = `
import hashlib, json, sqlite3, time
from collections import Counter

def plain(value):
    if isinstance(value, float) and value.is_integer(): value = int(value)
    if isinstance(value, bytes): return 'x' + value.hex()
    return json.dumps(value)

def answer(query):
    ends = time.monotonic() + asked['seconds']
    connection = sqlite3.connect('file:/data/0?mode=ro&immutable=1', uri=True)
    connection.text_factory = lambda text: text.decode(errors='replace')
    connection.set_progress_handler(lambda: time.monotonic() > ends, 1000)
    try:
        rows = connection.execute(query).fetchmany(asked['rows'] + 1)
        if len(rows) > asked['rows']: return {'error': f"more than {asked['rows']} rows", 'outOfTime': False}
        counts = Counter(rows)
        shown = str(dict(counts))
        if len(shown) > 500: shown = shown[:500] + '...}'
        lines = sorted({json.dumps([plain(value) for value in row]) for row in counts})
        return {'set': hashlib.sha256('\\n'.join(lines).encode()).hexdigest(), 'rows': len(rows), 'shown': shown}
    except (sqlite3.Error, sqlite3.Warning, MemoryError, ValueError) as error:
        late = time.monotonic() > ends
        return {'error': 'out of time' if late else str(error) or type(error).__name__, 'outOfTime': late}
    finally:
        connection.close()

for query in asked['queries']: print(json.dumps(answer(query)), flush=True)
`

/** A list of queries on one file, each by itself. @throws EngineError POLICY (the sandbox did not begin), ABORTED */
export async function runQueries(
  runner: Runner,
  database: string,
  queries: readonly string[],
  limits: SqlLimits,
  signal?: AbortSignal,
): Promise<QueryResult[]> {
  const asked = JSON.stringify(JSON.stringify({ queries, ...limits }))
  const { outcome, output } = await runner.run(
    {
      code: `import json\nasked = json.loads(${asked})\n${PROGRAM}`,
      files: [database],
      limits: { seconds: limits.seconds * queries.length + 5, memoryBytes: MEMORY_BYTES, outputBytes: OUTPUT_BYTES },
    },
    signal,
  )
  const lines = output.split('\n').filter((line) => line.startsWith('{'))
  if (outcome === 'failed') throw policyError(`${database}: ${output.trim().split('\n').at(-1)}`)
  return queries.map((_, i) => {
    const line = lines[i]
    return line === undefined ? { error: `it was ended: ${outcome}`, outOfTime: true } : (JSON.parse(line) as QueryResult)
  })
}

const NAME = /^[\w.-]+$/

/**
 * File of the database that a problem is about: `db_id` of its columns, as NAME.sqlite or NAME/NAME.sqlite (or .db) below `folder`.
 * @throws EngineError INVALID_ARGUMENT naming the problem
 */
export function databaseOf({ id, meta }: Problem, folder: string): string {
  const name = meta?.['db_id']
  if (typeof name !== 'string' || !NAME.test(name))
    throw invalidArgument(`problem "${id}": a column "db_id" must name its database, got ${JSON.stringify(name) ?? 'none'}`)
  const files = ['sqlite', 'db'].flatMap((end) => [join(folder, `${name}.${end}`), join(folder, name, `${name}.${end}`)])
  const found = files.find((file) => existsSync(file))
  if (found === undefined) throw invalidArgument(`problem "${id}": no database: neither ${files[0]} nor ${files[1]}`)
  return resolve(found)
}

/** Reads a run of a database, problem by problem, also while others write it. */
import { storeError } from '../../contracts/errors.ts'
import type { Problem } from '../../contracts/problem.ts'
import type { CandidateRecord, ProblemTree, SiblingScores } from '../../contracts/records.ts'
import type { RunIdentity, RunReader, RunSummary } from '../../contracts/run-store.ts'
import { withoutUserinfo } from '../../contracts/secrets.ts'
import type { Row } from '../driver.ts'
import { runId } from '../identity.ts'
import { inOrder, toTree } from '../rows.ts'
import { splitUri } from './connection.ts'
import { rolloutsOf } from './lease.ts'
import { unpack } from './packed.ts'
import { readProblem } from './problems.ts'
import { Runs } from './runs.ts'

class PostgresRunReader implements RunReader {
  readonly identity: RunIdentity
  readonly runId: string
  readonly #runs: Runs
  readonly #run: number

  constructor(runs: Runs, run: number, identity: RunIdentity) {
    this.#runs = runs
    this.#run = run
    this.identity = identity
    this.runId = runId(identity)
  }

  async *trees(): AsyncGenerator<ProblemTree, void, void> {
    for await (const { ordinal, problem } of this.#finished()) {
      const [tree] = await this.#query('SELECT * FROM mm_prm.trees WHERE run = $1 AND problem = $2', ordinal)
      if (!tree) continue
      const rows = await this.#query(
        'SELECT key, codec, rollouts FROM mm_prm.evaluations WHERE run = $1 AND problem = $2',
        ordinal,
      )
      const byKey = new Map(rows.map((row) => [Buffer.from(row['key'] as Uint8Array).toString('hex'), row]))
      const ofNode = (key: Row[string]) => {
        const row = byKey.get(String(key))
        if (row) return rolloutsOf(row)
        throw storeError(`problem "${problem.id}": a node's evaluation is gone`)
      }
      yield { problem, root: toTree(unpack<Row[]>(tree['codec'], tree['nodes']), ofNode) }
    }
  }

  async *candidates(): AsyncGenerator<{ problem: Problem; candidates: CandidateRecord[]; tokens: number }, void, void> {
    for await (const { ordinal, problem } of this.#finished()) {
      const rows = await this.#query(
        'SELECT candidate FROM mm_prm.candidates WHERE run = $1 AND problem = $2 ORDER BY idx',
        ordinal,
      )
      const [spent] = await this.#query(
        'SELECT coalesce(sum(num_tokens), 0) AS tokens FROM mm_prm.evaluations WHERE run = $1 AND problem = $2',
        ordinal,
      )
      const candidates = rows.map((row) => JSON.parse(String(row['candidate'])) as CandidateRecord)
      yield { problem, candidates, tokens: Number(spent?.['tokens']) }
    }
  }

  async *siblings(): AsyncGenerator<{ problem: Problem; siblings: SiblingScores[] }, void, void> {
    for await (const { ordinal, problem } of this.#finished()) {
      const rows = await this.#query('SELECT siblings FROM mm_prm.siblings WHERE run = $1 AND problem = $2', ordinal)
      const siblings = rows.map((row) => JSON.parse(String(row['siblings'])) as SiblingScores)
      if (siblings.length > 0) yield { problem, siblings: inOrder(siblings) }
    }
  }

  async summary(): Promise<RunSummary> {
    const { db } = this.#runs
    const counts = await db.query('SELECT status, count(*) AS n FROM mm_prm.problems WHERE run = $1 GROUP BY status', [this.#run])
    const of = (status: string) => Number(counts.find((row) => row['status'] === status)?.['n'] ?? 0)
    const [sums = {}] = await db.query(
      `SELECT count(*) AS evaluations, sum(num_rollouts) AS rollouts, sum(correct) AS correct, sum(unparsed) AS unparsed,
         sum(truncated) AS truncated, sum(num_tokens) AS tokens FROM mm_prm.evaluations WHERE run = $1`,
      [this.#run],
    )
    const n = (name: string) => Number(sums[name] ?? 0)
    const failed = await db.query(
      `SELECT id, reason FROM mm_prm.problems WHERE run = $1 AND status = 'failed' ORDER BY ordinal`,
      [this.#run],
    )
    return {
      problems: { running: of('running') + of('waiting'), done: of('done'), failed: of('failed') },
      ...{ evaluations: n('evaluations'), rollouts: n('rollouts'), correct: n('correct') },
      ...{ unparsed: n('unparsed'), truncated: n('truncated'), tokens: n('tokens') },
      failures: failed.map((row) => ({ id: String(row['id']), reason: String(row['reason']) })),
    }
  }

  close(): Promise<void> {
    return this.#runs.close()
  }

  async *#finished(): AsyncGenerator<{ ordinal: number; problem: Problem }, void, void> {
    for (let after = -1; ; ) {
      const [row] = await this.#query(
        `SELECT * FROM mm_prm.problems WHERE run = $1 AND ordinal > $2 AND status = 'done' ORDER BY ordinal LIMIT 1`,
        after,
      )
      if (!row) return
      after = Number(row['ordinal'])
      yield { ordinal: after, problem: await readProblem(this.#runs.db, row) }
    }
  }

  #query(text: string, problem: number): Promise<Row[]> {
    return this.#runs.db.query(text, [this.#run, problem])
  }
}

/** @param uri `postgres://…#RUN` @throws EngineError STORE: no such database or run */
export async function openPostgresRun(uri: string): Promise<RunReader> {
  const { url, run } = splitUri(uri)
  if (run === undefined) throw storeError(`${withoutUserinfo(url)}: name a run: postgres://…#RUN; mm-prm status lists them`)
  const runs = await Runs.open(url)
  try {
    const found = await runs.find(run)
    return new PostgresRunReader(runs, found.run, JSON.parse(String(found.row['identity'])) as RunIdentity)
  } catch (error) {
    await runs.close()
    throw error
  }
}

/**
 * A fleet of worker processes on one database: problems and evaluations a second, and the database's share of the processors'
 * time. The policy is a function that answers at once, so that what is measured is the store, the queue and the search.
 *
 *   node --import tsx bench/search/fleet.bench.ts [--workers N] [--problems N] [--rollouts N]
 */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { cpuSeconds, startFleetWorker, submitFleetRun } from '../../test/helpers/fleet.ts'
import { findNewNode, isNewEnough, startPostgres } from '../../test/helpers/postgres.ts'
import { simulatedProblem } from '../../test/helpers/simulated-policy.ts'
import { Connection } from '../../ts/store/postgres/connection.ts'
import { writeResults } from '../results.ts'

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '32' },
    problems: { type: 'string', default: '5000' },
    rollouts: { type: 'string', default: '16' },
  },
})
const [workers, problems, rollouts] = [values.workers, values.problems, values.rollouts].map(Number) as [number, number, number]

async function measure(): Promise<void> {
  const database = startPostgres()
  if (!database) return console.log('skipped: PostgreSQL is not installed here')
  const { url, pid } = database
  const all = Array.from({ length: problems }, (_, i) => simulatedProblem(i))
  const submitting = performance.now()
  const run = await submitFleetRun(url, all, rollouts)
  const submitSeconds = (performance.now() - submitting) / 1000
  const before = cpuSeconds(pid)
  const started = performance.now()
  const fleet = Array.from({ length: workers }, (_, i) =>
    startFleetWorker(url, { name: `w${i}`, delayMs: 0, maxRollouts: rollouts }),
  )
  const ended = await Promise.all(fleet.map((worker) => worker.ended))
  const wall = (performance.now() - started) / 1000
  const databaseSeconds = cpuSeconds(pid) - before
  const failed = ended.filter(({ code }) => code !== 0)
  if (failed.length > 0) throw new Error(`${failed.length} workers failed: ${failed[0]?.errors}`)
  const db = await Connection.open(url)
  const [counts = {}] = await db.query(
    `SELECT count(*) FILTER (WHERE status = 'done') AS done, sum(attempt) AS attempts,
       (SELECT count(*) FROM mm_prm.evaluations) AS evaluations,
       (SELECT extract(epoch FROM max(written_at) - min(written_at)) FROM mm_prm.evaluations) AS seconds,
       pg_database_size(current_database()) AS bytes FROM mm_prm.problems`,
  )
  await db.close()
  database.stop()
  const [done, attempts, evaluations, seconds, bytes] = ['done', 'attempts', 'evaluations', 'seconds', 'bytes'].map((name) =>
    Number(counts[name]),
  ) as [number, number, number, number, number]
  if (done !== problems) throw new Error(`${done} of ${problems} problems were finished`)
  const workerSeconds = ended.reduce((sum, worker) => sum + worker.cpuSeconds, 0)
  const perWorker = ended.map((worker) => worker.done)
  const one = (name: string, unit: string, median: number, details: Record<string, unknown> = {}) => ({
    ...{ name: `fleet of ${workers} workers, ${problems.toLocaleString('en')} problems: ${name}`, unit, median, p95: median },
    ...{ samples: 1, headline: true, details },
  })
  writeResults(
    'fleet',
    { workers, problems, rolloutsPerProblem: rollouts, rolloutsPerNode: 4, run, postgres: 'fsync on, defaults' },
    [
      one('problems', 'problems/s', done / seconds, { seconds, wall, submitSeconds, attempts, perWorker }),
      one('evaluations', 'evaluations/s', evaluations / seconds, { evaluations, bytes }),
      one('the database’s processor time, of all', 'share', databaseSeconds / (databaseSeconds + workerSeconds), {
        databaseSeconds,
        workerSeconds,
      }),
      one('processor time of the database per evaluation', 'ms', (1000 * databaseSeconds) / evaluations),
    ],
  )
}

if (isNewEnough()) await measure()
else {
  const node = findNewNode()
  const args = ['--import', 'tsx', import.meta.filename, ...process.argv.slice(2)]
  if (!node) console.log('skipped: postgres:// needs Node 22.12 or later, and none could be had')
  else process.exitCode = spawnSync(node, args, { stdio: 'inherit' }).status ?? 1
}

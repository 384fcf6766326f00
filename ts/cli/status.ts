/** `mm-prm status`: the runs of a database; `pause`, `resume` and `cancel`: what becomes of one. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunState, RunStatus } from '../store/postgres/index.ts'
import { type Command, EXIT, positiveInteger, readOptions, required } from './command.ts'
import { formatDuration } from './progress.ts'
import { readStore, STORE_OPTIONS, STORE_USAGE, withRuns } from './store-options.ts'
import { formatColumns } from './table.ts'

const WATCH_SECONDS = 5
const repeats = ({ guarantee, deviceClass }: RunStatus) =>
  guarantee === 'server' ? 'as its server repeats itself' : `the same bits on ${deviceClass ?? 'one class of devices'}`

const USAGE = `usage: mm-prm status --store URL [options]

Shows runs: what is done, what is left (neither done nor given up), how fast, by whom, and what failed why.

${STORE_USAGE}
  --run NAME               this one alone
  --watch                  again and again
  --every N                seconds between two looks (default ${WATCH_SECONDS})
  --json                   {"runs": [{"run", "status", "problems", "done", "left", ...}]}`

const OPTIONS = { ...STORE_OPTIONS, watch: { type: 'boolean' }, every: { type: 'string' } } as const

function show(runs: readonly RunStatus[]): void {
  const rows = runs.map((r) => {
    const perProblem = r.done > 0 ? r.rollouts / r.done : 0
    const minutes = r.rolloutsPerMinute > 0 ? (r.left * perProblem) / r.rolloutsPerMinute : 0
    const time = minutes > 0 && r.status === 'active' ? formatDuration(minutes * 60) : ''
    return [
      r.run,
      r.status,
      `${r.done}/${r.problems}`,
      String(r.left),
      String(r.failed),
      String(r.rolloutsPerMinute),
      time,
      repeats(r),
    ]
  })
  process.stdout.write(
    formatColumns([['run', 'status', 'done', 'left', 'failed', 'rollouts/min', 'time left', 'repeats'], ...rows]),
  )
  for (const { run, workers, failures } of runs) {
    for (const [worker, n] of Object.entries(workers)) process.stdout.write(`${run}  ${worker}: ${n} in hand\n`)
    for (const { id, reason } of failures) process.stdout.write(`${run}  given up  ${id}: ${reason}\n`)
  }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const at = readStore(values)
  const seconds = positiveInteger(values.every, 'every') ?? WATCH_SECONDS
  await withRuns(at.url, async (all) => {
    for (;;) {
      const runs = await all.status(at.run)
      if (values.json) process.stdout.write(`${JSON.stringify({ runs })}\n`)
      else show(runs)
      if (!values.watch) return
      await sleep(seconds * 1000)
    }
  })
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

function stateCommand(name: string, state: RunState, does: string): Command {
  return {
    usage: `usage: mm-prm ${name} --store URL --run NAME\n\n${does}\n\n${STORE_USAGE}\n  --run NAME               or as postgres://…#NAME`,
    async run(argv) {
      const at = readStore(readOptions(argv, STORE_OPTIONS).values)
      const run = required(at.run, 'run')
      await withRuns(at.url, (runs) => runs.setState(run, state))
      return EXIT.ok
    },
  }
}

export const pause = stateCommand('pause', 'paused', 'Workers take no more of its problems; what they have in hand they finish.')
export const resume = stateCommand('resume', 'active', 'Workers go on with it, and take up what was given up.')
export const cancel = stateCommand(
  'cancel',
  'cancelled',
  'Workers drop it. What is done is kept; mm-prm resume takes it up again.',
)

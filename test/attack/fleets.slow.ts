/** Workers of one database that die, freeze and are cut off, and a database that crashes under them. */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Connection } from '../../ts/store/postgres/connection.ts'
import { Runs } from '../../ts/store/postgres/index.ts'
import { attack } from '../helpers/attack.ts'
import { contentsOfRun, type FleetWorker, startFleetWorker, submitFleetRun, undisturbed } from '../helpers/fleet.ts'
import { findNewNode, isNewEnough, startPostgres } from '../helpers/postgres.ts'
import { simulatedProblem } from '../helpers/simulated-policy.ts'

/** A lease of ten seconds, those that look after it, a restart of the database, and what a busy machine adds. */
const TAKEN_OVER_WITHIN = 60
const numbered = (from: number, count: number) => Array.from({ length: count }, (_, i) => simulatedProblem(from + i))

if (!isNewEnough()) {
  const node = findNewNode()
  if (!node) throw new Error('postgres:// needs Node 22.12 or later, and none could be had')
  const { status } = spawnSync(node, ['--import', 'tsx', import.meta.filename], { stdio: 'inherit' })
  process.exit(status ?? 1)
}

/** A pair of linked interfaces: `inside` a namespace of its own, and here. undefined where only root may make one. */
function makeNetwork() {
  const name = `mmprm${process.pid}`
  const [here, inside] = [`mh${process.pid}`, `mi${process.pid}`]
  const net = `10.213.${process.pid % 250}`
  const ip = (...args: string[]) => spawnSync('ip', args, { encoding: 'utf8' })
  if (ip('netns', 'add', name).status !== 0) return undefined
  const steps = [
    ['link', 'add', here, 'type', 'veth', 'peer', 'name', inside, 'netns', name],
    ['addr', 'add', `${net}.1/24`, 'dev', here],
    ['link', 'set', here, 'up'],
    ['-n', name, 'addr', 'add', `${net}.2/24`, 'dev', inside],
    ['-n', name, 'link', 'set', inside, 'up'],
  ]
  for (const step of steps) if (ip(...step).status !== 0) return undefined
  const set = (state: string) => assert.is(ip('-n', name, 'link', 'set', inside, state).status, 0)
  return { name, address: `${net}.1`, cut: () => set('down'), join: () => set('up'), end: () => ip('netns', 'del', name) }
}

const network = makeNetwork()
const database = startPostgres(network?.address)
if (!database) throw new Error('PostgreSQL is not installed here')
const { url } = database
const db = await Connection.open(url)
test.after(async () => {
  await db.close()
  database.stop()
  network?.end()
})

async function doneOf(run: string): Promise<number> {
  const runs = await Runs.open(url)
  const [status] = await runs.status(run).finally(() => runs.close())
  return status?.done ?? 0
}

/** Seconds until all that a worker had in hand when it fell silent has gone to others. */
async function takenOver(worker: string): Promise<number> {
  const began = performance.now()
  const held = () =>
    db.query(`SELECT run, ordinal, attempt FROM mm_prm.problems WHERE worker = $1 AND status = 'running'`, [worker])
  const before = new Set((await held()).map((row) => JSON.stringify(Object.values(row))))
  assert.ok(before.size > 0, `${worker} held nothing`)
  const isStill = async () => (await held()).some((row) => before.has(JSON.stringify(Object.values(row))))
  while (await isStill()) {
    await sleep(200)
    assert.ok(performance.now() - began < 120_000, `what ${worker} had was never taken over`)
  }
  return (performance.now() - began) / 1000
}

async function endWell(workers: readonly FleetWorker[]): Promise<void> {
  for (const { name, ended } of workers) {
    const { code, errors } = await ended
    assert.is(code, 0, `${name}: ${errors}`)
  }
}

const NUM_PROBLEMS = 150
attack(
  `six workers on ${NUM_PROBLEMS} problems: two killed (SIGKILL), one frozen beyond its lease and woken, one cut off beyond it, the database crashed (immediate restart)`,
  async () => {
    const problems = numbered(0, NUM_PROBLEMS)
    const run = await submitFleetRun(url, problems)
    const there = network && `postgres://postgres@${network.address}/postgres`
    const start = (name: string) => startFleetWorker(url, { name })
    const [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(start) as [
      FleetWorker,
      FleetWorker,
      FleetWorker,
      FleetWorker,
      FleetWorker,
    ]
    const f = there ? startFleetWorker(there, { name: 'f', network: network.name }) : start('f')
    const working = async () =>
      new Set(
        (await db.query(`SELECT DISTINCT worker FROM mm_prm.problems WHERE status = 'running'`)).map((row) => row['worker']),
      )
    while ((await working()).size < 6) await sleep(100)
    while ((await doneOf(run)) < 6) await sleep(100)
    a.child.kill('SIGKILL')
    b.child.kill('SIGSTOP')
    network?.cut()
    const [killed, frozen, cut] = await Promise.all([takenOver('a'), takenOver('b'), ...(network ? [takenOver('f')] : [])])
    b.child.kill('SIGCONT')
    network?.join()
    database.restart()
    c.child.kill('SIGKILL')
    const crashed = await takenOver('c')
    await endWell([b, d, e, f])
    assert.is(await contentsOfRun(url, run), await undisturbed(problems), 'trees as in a folder, byte for byte')
    const [row] = await db.query('SELECT sum(attempt) AS all, max(attempt) AS most FROM mm_prm.problems')
    assert.ok(Number(row?.['most']) <= 5)
    const times = { killed, frozen, ...(cut && { 'cut off': cut }), 'killed as the database crashed': crashed }
    for (const [what, seconds = 0] of Object.entries(times)) assert.ok(seconds < TAKEN_OVER_WITHIN, `${what}: ${seconds} s`)
    const told = Object.entries(times).map(([what, seconds = 0]) => `${what} ${seconds.toFixed(0)} s`)
    const missing = network ? '' : ' (nobody was cut off: only root may make a network)'
    return `the trees of a folder that nobody disturbed, byte for byte; ${row?.['all']} attempts at ${NUM_PROBLEMS} problems, at most ${row?.['most']} at one; taken over after: ${told.join(', ')}${missing}`
  },
)

attack('a worker frozen in the middle of a write, its locks in hand', async () => {
  const [problem] = numbered(1000, 1)
  const run = await submitFleetRun(url, problem ? [problem] : [])
  const frozen = await Connection.open(url)
  const lock = frozen
    .transaction(async (sql) => {
      await sql.query('SELECT 1 FROM mm_prm.problems JOIN mm_prm.runs USING (run) WHERE run_id = $1 FOR UPDATE', [run])
      await sleep(60_000, undefined, { ref: false })
    })
    .catch(() => {})
  await sleep(500)
  const began = performance.now()
  const worker = startFleetWorker(url, { name: 'g', delayMs: 1 })
  await endWell([worker])
  const seconds = (performance.now() - began) / 1000
  assert.is(await doneOf(run), 1)
  assert.ok(seconds < TAKEN_OVER_WITHIN, `${seconds} s`)
  await Promise.race([lock, sleep(0)])
  return `the server ends its transaction: another worker finishes the problem ${seconds.toFixed(0)} s after`
})

test.run()

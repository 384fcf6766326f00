/** Runs in PostgreSQL: leases, fences, states, faults. What every store does: suite.test.ts. */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { invalidArgument, Outage, policyError } from '../../../ts/contracts/errors.ts'
import type { Problem } from '../../../ts/contracts/problem.ts'
import type { Lease } from '../../../ts/contracts/work.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { runSearch, runWork } from '../../../ts/search/runner.ts'
import { omega, omegaOptions } from '../../../ts/search/strategies/omega.ts'
import { Connection } from '../../../ts/store/postgres/connection.ts'
import { PostgresSource, Runs } from '../../../ts/store/postgres/index.ts'
import { openRun } from '../../../ts/store/reader.ts'
import { SqliteRunStore } from '../../../ts/store/sqlite.ts'
import { findNewNode, isNewEnough, startPostgres } from '../../helpers/postgres.ts'
import { runIdentity } from '../../helpers/search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'
import { contentsOf } from '../../helpers/stores.ts'

const WORKER = join(import.meta.dirname, '../../helpers/fleet-worker.ts')
const policy = scriptedPolicy(simulate)
const options = omegaOptions.parse({ numRollouts: 4, sideBySide: 2 })
const budget = { maxRollouts: 120, maxTokens: 1e9 }
const settings = { strategy: omega, options, budget, seed: 7, policy, verifier: simulatedVerifier }
const identity = runIdentity(policy, { options, budget })

async function inFolder(problems: Problem[], more = settings, id = identity): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-folder-'))
  try {
    const store = SqliteRunStore.open({ folder, identity: id })
    await runSearch({ ...more, problems, store, inFlight: 3 })
    await store.close()
    return await contentsOf(openRun(folder))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const newNode = findNewNode()
const database = isNewEnough() ? startPostgres() : undefined
const { url = '' } = database ?? {}
const withDatabase = database ? test : test.skip
if (isNewEnough() && !database) console.log('skipped: PostgreSQL is not installed here')

if (!isNewEnough()) {
  test('an older Node is told what postgres:// needs', async () => {
    const error = await openRun('postgres://localhost/x#y').catch((e) => e)
    assert.is(error.code, 'ERR_ENGINE_STORE')
    assert.match(error.message, /postgres:\/\/ needs Node 22\.12 or later, this is 20/)
  })
  const elsewhere = newNode ? test : test.skip
  elsewhere('under Node 22', () => {
    const { status, stdout, stderr } = spawnSync(newNode as string, ['--import', 'tsx', import.meta.filename], {
      encoding: 'utf8',
      timeout: 600_000,
    })
    console.log(stdout.trim())
    assert.is(status, 0, stderr)
  })
}

async function submit(problems: Problem[], more: object = {}, id = identity): Promise<string> {
  const runs = await Runs.open(url)
  try {
    return await runs.submit(
      id,
      more,
      problems.map((problem) => ({ problem })),
    )
  } finally {
    await runs.close()
  }
}

async function withRuns<T>(work: (runs: Runs) => Promise<T>): Promise<T> {
  const runs = await Runs.open(url)
  try {
    return await work(runs)
  } finally {
    await runs.close()
  }
}

async function work(run: string, more: Partial<typeof settings> = {}, inFlight = 3) {
  const source = await PostgresSource.open({ url, run, untilDone: true })
  try {
    return await runWork({ source, settingsOf: () => ({ ...settings, ...more }), inFlight })
  } finally {
    await source.close()
  }
}

withDatabase('submitting again is the same run; a run says when it is done', async () => {
  const problems = [simulatedProblem(4), simulatedProblem(5)]
  const run = await submit(problems)
  assert.is(await submit(problems), run)
  assert.equal((await work(run)).done, 2)
  assert.equal((await work(run)).done, 0)
  const [status] = await withRuns((runs) => runs.status(run))
  assert.equal([status?.status, status?.problems, status?.done, status?.left], ['done', 2, 2, 0])
})

withDatabase('a policy that fails three times has its problem given up; submitting again takes it up', async () => {
  const problems = Array.from({ length: 6 }, (_, i) => simulatedProblem(200 + i))
  const run = await submit(problems)
  let isBroken = true
  const flaky = scriptedPolicy((request, index) => {
    if (isBroken && request.problem.id === 'sim-203') throw policyError('problem "sim-203": no answer')
    return simulate(request, index)
  })
  const progress = await work(run, { policy: flaky }, 1)
  assert.equal([progress.done, progress.failed], [5, 3])
  const [status] = await withRuns((runs) => runs.status(run))
  assert.equal([status?.left, status?.failed, status?.failures[0]?.id], [0, 1, 'sim-203'])
  isBroken = false
  await submit(problems)
  assert.equal((await work(run)).done, 1)
  assert.is(await contentsOf(await openRun(`${url}#${run}` as `postgres://${string}`)), await inFolder(problems))
})

withDatabase('problems that are bad in themselves are given up: few in one go, many by start after start', async () => {
  const bad = scriptedPolicy(({ problem: { id } }) => {
    const why = `problem "${id}": this model's maximum context length is 4096 tokens`
    throw Number(id.slice(4)) % 2 ? policyError(why) : invalidArgument(why)
  })
  const given = async (run: string) => (await withRuns((runs) => runs.status(run)))[0]
  const few = await submit(Array.from({ length: 6 }, (_, i) => simulatedProblem(230 + i)))
  assert.is((await work(few, { policy: bad }, 1)).failed, 18, 'three attempts of each')
  const { status, failed, left } = (await given(few)) ?? {}
  assert.equal([status, failed, left], ['done', 6, 0])
  const many = await submit(Array.from({ length: 12 }, (_, i) => simulatedProblem(238 + i)))
  let starts = 0
  for (; starts < 6 && (await given(many))?.left !== 0; starts++) {
    const error = await work(many, { policy: bad }, 1).catch((e) => e)
    if (error instanceof Error) assert.match(error.message, /9 problems in a row failed; the last one: .*context length/)
  }
  assert.is((await given(many))?.failed, 12, `after ${starts} starts`)
})

withDatabase('a worker whose policy is gone, however often it is started, has no problem given up', async () => {
  const problems = Array.from({ length: 12 }, (_, i) => simulatedProblem(250 + i))
  const run = await submit(problems)
  const gone = scriptedPolicy(({ problem }) => {
    const message = `problem "${problem.id}": http://127.0.0.1:1/v1/chat/completions: connect ECONNREFUSED`
    throw policyError(message, new Outage('connect ECONNREFUSED'))
  })
  for (let start = 0; start < 2; start++) {
    const error = await work(run, { policy: gone }, 1).catch((e) => e)
    assert.match(error.message, /9 problems in a row failed; the last one: .*ECONNREFUSED/)
    const [status] = await withRuns((runs) => runs.status(run))
    assert.equal([status?.left, status?.failed, status?.running], [12, 0, 0])
  }
  assert.equal((await work(run)).done, 12)
  assert.is(await contentsOf(await openRun(`${url}#${run}` as `postgres://${string}`)), await inFolder(problems))
})

withDatabase('a run that a worker may not work on is left to others; the worker goes on with the rest', async () => {
  const ours = await submit(Array.from({ length: 3 }, (_, i) => simulatedProblem(270 + i)))
  const theirs = await submit(Array.from({ length: 20 }, (_, i) => simulatedProblem(280 + i)))
  const told: string[] = []
  let refusal = invalidArgument('another model')
  const onLeave = (run: string, why: Error) => void told.push(`${run}: ${why.message}`)
  const settingsOf = ({ run }: { run?: string }) => {
    if (run === theirs) throw refusal
    return settings
  }
  const attempt = async (more: { run?: string }) => {
    const source = await PostgresSource.open({ url, untilDone: true, onLeave, ...more })
    return runWork({ source, settingsOf, inFlight: 3 })
      .catch((e) => e)
      .finally(() => source.close())
  }
  const error = await attempt({})
  assert.is(error.code, 'ERR_ENGINE_STORE')
  assert.match(error.message, new RegExp(`what is left is of runs that this worker may not work on: ${theirs}$`))
  assert.equal(told, [`${theirs}: another model`])
  const left = async (run: string) => (await withRuns((runs) => runs.status(run)))[0]?.left
  assert.equal([await left(ours), await left(theirs)], [0, 20])
  assert.match((await attempt({ run: theirs })).message, /^another model$/, 'asked for this run alone')
  refusal = policyError('the scorer is not up yet')
  assert.is((await attempt({})).message, 'the scorer is not up yet', 'what may pass ends the worker: it is started again')
  assert.is(told.length, 1)
  assert.is((await work(theirs)).done, 20)
})

withDatabase('a run is worked on by one class of devices: that of its first evidence, of no mere visitor', async () => {
  const run = await submit([simulatedProblem(298), simulatedProblem(299)])
  const { signal } = new AbortController()
  const known = () =>
    withRuns(async (runs) => {
      const { deviceClass, hasBegun } = await runs.deviceClass((await runs.find(run)).run)
      return [deviceClass, hasBegun]
    })
  const visit = async (deviceClass: string) => {
    const source = await PostgresSource.open({ url, run })
    source.computesOn(run, deviceClass)
    return { source, lease: (await source.next(signal)) as Lease }
  }
  const evaluated = ({ problem: { id: problemId } }: Lease) => {
    const counts = { correct: 0, total: 0, unparsed: 0, truncated: 0 }
    const evaluation = { problemId, prefix: [], occurrence: 0, seed: 1, counts, rollouts: [] }
    return { type: 'evaluated', evaluation, elapsedMs: 1 } as const
  }
  const laptop = await visit('avx2')
  await laptop.lease.fail('a failure is no evidence', false)
  assert.equal(await known(), [null, false])
  const [card, late] = [await visit('sm90'), await visit('avx512')]
  await card.lease.append(evaluated(card.lease))
  assert.equal(await known(), ['sm90', true])
  const error = await late.lease.append(evaluated(late.lease)).catch((e) => e)
  assert.match(error.message, /its run is worked on by sm90 since, and this is avx512/)
  assert.ok(late.lease.signal?.aborted)
  const [status] = await withRuns((runs) => runs.status(run))
  assert.equal([status?.evaluations, status?.deviceClass], [1, 'sm90'])
  await withRuns((runs) => runs.db.query('UPDATE mm_prm.runs SET device_class = NULL WHERE run_id = $1', [run]))
  assert.equal(await known(), [null, true], 'as one that was begun before classes were recorded')
  for (const { source } of [laptop, card, late]) await source.close()
  await withRuns((runs) => runs.setState(run, 'cancelled')) // the workers of the last test take what there is
})

withDatabase('a lease that another has taken over writes nothing more', async () => {
  const run = await submit([simulatedProblem(300)])
  const source = await PostgresSource.open({ url, run })
  const { signal } = new AbortController()
  const first = await source.next(signal)
  assert.ok(first)
  await withRuns((runs) => runs.db.query("UPDATE mm_prm.problems SET attempt = attempt + 1 WHERE id = 'sim-300'"))
  const evaluation = {
    problemId: 'sim-300',
    prefix: [],
    occurrence: 0,
    seed: 1,
    counts: { correct: 0, total: 0, unparsed: 0, truncated: 0 },
    rollouts: [],
  }
  const error = await first.append({ type: 'evaluated', evaluation, elapsedMs: 1 }).catch((e) => e)
  assert.is(error.code, 'ERR_ENGINE_ABORTED')
  assert.match(error.message, /another worker has taken it over/)
  assert.ok(first.signal?.aborted)
  const [{ n } = { n: -1 }] = await withRuns((runs) =>
    runs.db.query('SELECT count(*) AS n FROM mm_prm.evaluations JOIN mm_prm.runs USING (run) WHERE run_id = $1', [run]),
  )
  assert.is(Number(n), 0)
  await source.close()
})

withDatabase('who is asked to end does not wait for a database that is away', async () => {
  const db = await Connection.open('postgres:///runs?host=/nowhere&user=me&password=pa55w0rd')
  const waiting = db.query('SELECT 1').catch((e) => e)
  await sleep(300)
  const began = performance.now()
  db.hurry()
  const { code, message } = await waiting
  assert.is(code, 'ERR_ENGINE_STORE')
  assert.match(message, /password=\*\*\*: connect ENOENT/)
  assert.ok(performance.now() - began < 5000)
  await db.close()
})

withDatabase('pictures on a shared disk: read where this machine has it, and only what was submitted', async () => {
  const mount = mkdtempSync(join(tmpdir(), 'mm-prm-mount-'))
  mkdirSync(join(mount, 'charts'))
  const bytes = Buffer.from('a picture, for all the store knows')
  const hash = createHash('sha256').update(bytes).digest('hex')
  const problem = { ...simulatedProblem(350), image: '/data/charts/a.png' }
  const run = await withRuns((runs) => runs.submit(identity, { 'image-root': '/data' }, [{ problem, pictures: [{ hash }] }]))
  const { signal } = new AbortController()
  const open = (imageRoot?: string) => PostgresSource.open({ url, run, ...(imageRoot !== undefined && { imageRoot }) })
  const refusal = async (imageRoot?: string) => {
    const source = await open(imageRoot)
    const error = await source.next(signal).catch((e) => e)
    await source.close()
    return `${error.code} ${error.message}`
  }
  assert.match(
    await refusal(),
    /ERR_ENGINE_STORE problem "sim-350": its picture \/data\/charts\/a\.png is not on this machine; --image-root/,
  )
  writeFileSync(join(mount, 'charts/a.png'), 'another')
  assert.match(await refusal(mount), /a\.png is not the one that was submitted/)
  writeFileSync(join(mount, 'charts/a.png'), bytes)
  const source = await open(mount)
  const lease = await source.next(signal)
  assert.equal(Buffer.from(lease?.problem.image as Uint8Array), bytes)
  await lease?.giveBack('the test is done')
  await source.close()
  await withRuns((runs) => runs.setState(run, 'cancelled')) // the workers of the last test take what there is
  rmSync(mount, { recursive: true })
})

withDatabase('pause, resume and cancel', async () => {
  const problems = Array.from({ length: 30 }, (_, i) => simulatedProblem(400 + i))
  const run = await submit(problems)
  await withRuns((runs) => runs.setState(run, 'paused'))
  const source = await PostgresSource.open({ url, run })
  const waiting = new AbortController()
  const found = source.next(waiting.signal).catch((e) => e)
  await sleep(900)
  waiting.abort()
  assert.is((await found).code, 'ERR_ENGINE_ABORTED', 'a paused run gives no work')
  await source.close()
  await withRuns((runs) => runs.setState(run.slice(0, 8), 'active'))
  const slow = scriptedPolicy(async (request, index) => {
    await sleep(20)
    return simulate(request, index)
  })
  const progress = work(run, { policy: slow })
  await sleep(1500)
  await withRuns((runs) => runs.setState(run, 'cancelled'))
  assert.ok((await progress).done < 30)
  const [status] = await withRuns((runs) => runs.status(run))
  assert.equal([status?.status, status?.left], ['cancelled', 0])
  assert.equal([status?.running, status?.workers], [0, {}], 'what was dropped is in nobody’s hands')
  const refused = await withRuns((runs) => runs.setState(run, 'paused')).catch((e) => e)
  assert.match(refused.message, /was cancelled: there is nothing to pause; mm-prm resume takes it up again/)
  assert.is(await submit(problems), run)
  assert.is((await withRuns((runs) => runs.status(run)))[0]?.status, 'cancelled', 'submitting again is no resume')
  await withRuns((runs) => runs.setState(run, 'active'))
  await work(run)
  await withRuns((runs) => runs.setState(run, 'paused'))
  assert.is((await withRuns((runs) => runs.status(run)))[0]?.status, 'done', 'with nothing left to pause')
  assert.is(await contentsOf(await openRun(`${url}#${run}` as `postgres://${string}`)), await inFolder(problems))
})

function startWorker(name: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', WORKER, url, '150', name], { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
  const ended = new Promise<{ code: number | null; errors: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, errors })),
  )
  return { child, ended }
}

withDatabase('kill -9, a freeze beyond the lease, a restart of the database: the trees of a folder, nothing twice', async () => {
  const problems = Array.from({ length: 40 }, (_, i) => simulatedProblem(500 + i))
  const run = await submit(problems)
  const workers = ['a', 'b', 'c'].map(startWorker)
  for (let done = 0; done < 3; await sleep(100)) done = (await withRuns((runs) => runs.status(run)))[0]?.done ?? 0
  workers[0]?.child.kill('SIGKILL')
  workers[1]?.child.kill('SIGSTOP')
  await sleep(1000)
  database?.restart()
  const began = performance.now()
  const late = startWorker('d')
  await sleep(14_000)
  workers[1]?.child.kill('SIGCONT')
  for (const { code, errors } of await Promise.all(
    [workers[1], workers[2], late].map((w) => w?.ended as NonNullable<typeof w>['ended']),
  ))
    assert.is(code, 0, errors)
  const seconds = (performance.now() - began) / 1000
  assert.is(await contentsOf(await openRun(`${url}#${run}` as `postgres://${string}`)), await inFolder(problems))
  const [row] = await withRuns((runs) =>
    runs.db.query(
      'SELECT max(attempt) AS most, sum(attempt) AS all FROM mm_prm.problems JOIN mm_prm.runs USING (run) WHERE run_id = $1',
      [run],
    ),
  )
  console.log(
    `40 problems, three disturbances: ${Number(row?.['all'])} attempts, at most ${row?.['most']} of one problem, ${seconds.toFixed(0)} s`,
  )
  assert.ok(Number(row?.['all']) > 40, 'somebody took over')
  assert.ok(Number(row?.['most']) <= 4)
  assert.ok(seconds < 90, `taken over late: ${seconds} s`)
})

test.after(() => database?.stop())
test.run()

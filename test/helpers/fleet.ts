/** Worker processes of one database, and the run that they work on: tests disturb them, benchmarks let them be. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Problem } from '../../ts/contracts/problem.ts'
import { scriptedPolicy } from '../../ts/policy/scripted.ts'
import { runSearch } from '../../ts/search/runner.ts'
import { omega, omegaOptions } from '../../ts/search/strategies/omega.ts'
import { Runs } from '../../ts/store/postgres/index.ts'
import { openRun } from '../../ts/store/reader.ts'
import { SqliteRunStore } from '../../ts/store/sqlite.ts'
import { runIdentity } from './search.ts'
import { simulate, simulatedVerifier } from './simulated-policy.ts'
import { contentsOf } from './stores.ts'

const WORKER = join(import.meta.dirname, 'fleet-worker.ts')

/** What fleet-worker.ts searches with. */
function fleetSettings(maxRollouts: number) {
  const policy = scriptedPolicy(simulate)
  const options = omegaOptions.parse({ numRollouts: 4, sideBySide: 2 })
  const budget = { maxRollouts, maxTokens: 1e9 }
  const settings = { strategy: omega, options, budget, seed: 7, policy, verifier: simulatedVerifier }
  return { settings, identity: runIdentity(policy, { options, budget }) }
}

export async function submitFleetRun(url: string, problems: readonly Problem[], maxRollouts = 120): Promise<string> {
  const runs = await Runs.open(url)
  const submitted = problems.map((problem) => ({ problem }))
  return runs.submit(fleetSettings(maxRollouts).identity, {}, submitted).finally(() => runs.close())
}

export const contentsOfRun = async (url: string, run: string) =>
  contentsOf(await openRun(`${url}#${run}` as `postgres://${string}`))

/** What the same run says that nobody disturbed, in a folder. */
export async function undisturbed(problems: readonly Problem[], maxRollouts = 120): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-folder-'))
  const { settings, identity } = fleetSettings(maxRollouts)
  try {
    const store = SqliteRunStore.open({ folder, identity })
    await runSearch({ ...settings, problems, store, inFlight: 3 })
    await store.close()
    return await contentsOf(openRun(folder))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export interface FleetWorker {
  readonly name: string
  readonly child: ChildProcess
  readonly ended: Promise<{ code: number | null; errors: string; done: number; cpuSeconds: number }>
}

export interface FleetWorkerOptions {
  name: string
  /** Of one answer of the policy, at most; default 150. */
  delayMs?: number
  maxRollouts?: number
  /** Runs in this network namespace. */
  network?: string
}

export function startFleetWorker(url: string, options: FleetWorkerOptions): FleetWorker {
  const { name, delayMs = 150, maxRollouts = 120, network } = options
  const node = [process.execPath, '--import', 'tsx', WORKER, url, String(delayMs), name, String(maxRollouts)]
  const [command, ...args] = network ? ['ip', 'netns', 'exec', network, ...node] : node
  const child = spawn(command as string, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
  const ended: FleetWorker['ended'] = new Promise((resolve) =>
    child.on('close', (code) => {
      const told = code === 0 ? JSON.parse(output.trim()) : {}
      resolve({ code, errors, done: 0, cpuSeconds: 0, ...told })
    }),
  )
  return { name, child, ended }
}

const TICKS = 100

/** Seconds of processor time of a process, of its children that have ended and of those that live. */
export function cpuSeconds(pid: number): number {
  const fields = (of: number | string) =>
    readFileSync(`/proc/${of}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
  const times = (of: number | string, from: number, to: number) =>
    fields(of)
      .slice(from, to)
      .reduce((sum, ticks) => sum + Number(ticks), 0)
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean)
  const living = children.map((child) => {
    try {
      return times(child, 11, 13)
    } catch {
      return 0 // it has ended: its parent's times hold it
    }
  })
  return (times(pid, 11, 15) + living.reduce((a, b) => a + b, 0)) / TICKS
}

/**
 * Result files: bench/results/<name>.json, written by benchmarks only, with machine, commit and recipe. Tables in
 * documents are made from them.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { loadNative } from '../ts/engine/native.ts'

const FOLDER = join(import.meta.dirname, 'results')

export interface Measurement {
  name: string
  /** Higher is better, as in "tokens/s"; "ms" where lower is. */
  unit: string
  median: number
  /** The 95th percentile towards the worse end. */
  p95: number
  samples: number
  /** Share of the machine's roof measured in the same process, 0..1. */
  ofRoof?: number
  /** Shown in the tables. */
  headline?: boolean
  details?: Record<string, unknown>
  /** How many times as fast as the same work done another way in the same run, for times as for rates: above 1 is better. */
  faster?: Record<string, number>
}

export interface Machine {
  cpu: string
  threads: number
  instructionSet: string
  memoryGiB: number
  node: string
}

export interface Results {
  bench: string
  machine: Machine
  commit: string
  recipe: Record<string, unknown>
  measurements: Measurement[]
}

/** The commit measured; `+` where the working tree differs from it. */
function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: FOLDER, encoding: 'utf8' }).trim()
  mkdirSync(FOLDER, { recursive: true })
  const changed = git('status', '--porcelain', '--untracked-files=no', '--', ':!/bench/results', ':!/README.md')
  return `${git('rev-parse', '--short', 'HEAD')}${changed === '' ? '' : '+'}`
}

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  threads: availableParallelism(),
  instructionSet: loadNative().probe().isa,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
})

export function writeResults(bench: string, recipe: Record<string, unknown>, measurements: Measurement[]): void {
  if (measurements.length === 0) throw new Error(`${bench}: nothing was measured`)
  const results: Results = { bench, machine: machine(), commit: commit(), recipe, measurements }
  writeFileSync(join(FOLDER, `${bench}.json`), `${JSON.stringify(results, null, 2)}\n`)
}

export function readResults(): Results[] {
  mkdirSync(FOLDER, { recursive: true })
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.json'))
  const all = names.sort().map((name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Results | object)
  return all.filter((results) => 'measurements' in results)
}

/** `share` of the sorted values lie at or below the result. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number
}

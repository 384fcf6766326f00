/**
 * All threads of a pool against one thread beside 0 to 8 busy processes, as `native_bench --neighbours` measures it;
 * it fails where sharing costs more than a fifth at any load.
 *
 *   node --import tsx bench/neighbours.bench.ts
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Measurement, writeResults } from './results.ts'

const NATIVE_BENCH = join(import.meta.dirname, '../build/tests/native_bench')

interface NativeResult {
  shape: string
  neighbours: number
  one_ms: number
  shared_ms: number
  shared_p95_ms: number
  ratio: number
  steps: number
}

const json = join(mkdtempSync(join(tmpdir(), 'mm-prm-bench-')), 'neighbours.json')
execFileSync(NATIVE_BENCH, ['--neighbours', '--json', json], { stdio: 'inherit' })
const report: { results: NativeResult[] } = JSON.parse(readFileSync(json, 'utf8'))

const measurements = report.results.map(
  (r): Measurement => ({
    name: `${r.shape}, all threads, ${r.neighbours} busy neighbours`,
    unit: 'ms',
    median: r.shared_ms,
    p95: r.shared_p95_ms,
    samples: r.steps,
    details: { oneThreadMs: r.one_ms, ofOneThread: r.ratio },
  }),
)
writeResults('neighbours', {}, measurements)

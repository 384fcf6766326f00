/**
 * The kernels' own benchmark, native_bench, as a result file: every timed case of one instruction set, as a share of
 * the machine's roof measured in the same process.
 *
 *   node --import tsx bench/kernels.bench.ts [--filter TEXT]
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { loadNative } from '../ts/engine/native.ts'
import { type Measurement, writeResults } from './results.ts'

const NATIVE_BENCH = join(import.meta.dirname, '../build/tests/native_bench')
/** What the README shows: the large product, the shapes of a 0.5 B model, and reading the weights once. */
const HEADLINES = /M=512 N=4096 K=4096|(?:M=512|M=1) N=(?:1152|896|9728) K=|N=151936/

interface NativeResult {
  name: string
  isa: string
  median_ms: number
  p95_ms: number
  rate_per_s: number
  roof: string
  roof_fraction: number
  roof_fraction_by_cpu_time: number
}

const isa = loadNative().probe().isa
const { values } = parseArgs({ options: { filter: { type: 'string', default: `[${isa}]` } } })
const json = join(mkdtempSync(join(tmpdir(), 'mm-prm-bench-')), 'kernels.json')
execFileSync(NATIVE_BENCH, ['--json', json, values.filter], { stdio: 'inherit' })
const report: { results: NativeResult[] } = JSON.parse(readFileSync(json, 'utf8'))

const measurements = report.results.map(
  (r): Measurement => ({
    name: r.name,
    unit: 'ms',
    median: r.median_ms,
    p95: r.p95_ms,
    samples: 1,
    ofRoof: r.roof_fraction,
    headline: HEADLINES.test(r.name) && / bf16 /.test(` ${r.name} `),
    details: { isa: r.isa, roof: r.roof, ratePerSecond: r.rate_per_s, ofRoofByProcessorTime: r.roof_fraction_by_cpu_time },
  }),
)
writeResults('kernels', { filter: values.filter }, measurements)

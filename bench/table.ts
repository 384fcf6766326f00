/**
 * The README's tables and the page of findings, made from bench/results.
 *
 *   npm run bench:table     writes them
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readMiniResults } from './mini/results.ts'
import { findings, readmeTable } from './mini/tables.ts'
import { type Measurement, type Results, readResults } from './results.ts'

const README = join(import.meta.dirname, '../README.md')
const FINDINGS = join(import.meta.dirname, 'mini/README.md')
const section = (name: string) => new RegExp(`(<!-- ${name}:begin -->\\n)[\\s\\S]*?(<!-- ${name}:end -->)`)

const format = (n: number) => (n >= 100 ? Math.round(n).toLocaleString('en') : n.toPrecision(3))

function row(m: Measurement): string {
  const roof = m.ofRoof === undefined ? '' : `${Math.round(100 * m.ofRoof)} %`
  const ratios = Object.entries(m.ratios ?? {}).map(([name, ratio]) => `${ratio.toFixed(1)} × ${name}`)
  return `| ${m.name} | ${format(m.median)} ${m.unit} | ${format(m.p95)} | ${roof} | ${ratios.join(', ')} |`
}

function table(results: Results): string[] {
  const { cpu, threads, instructionSet, node } = results.machine
  const rows = results.measurements.filter((m) => m.headline)
  if (rows.length === 0) return []
  return [
    `**${results.bench}** at commit ${results.commit}: ${cpu}, ${threads} threads, ${instructionSet}, Node ${node}`,
    '',
    '| | median | p95 | of the roof | against |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(row),
    '',
  ]
}

function replaced(readme: string, name: string, lines: readonly string[]): string {
  if (!section(name).test(readme))
    throw new Error(`README.md: the markers <!-- ${name}:begin --> and <!-- ${name}:end --> are missing`)
  return readme.replace(section(name), (_, begin, end) => [begin, ...lines.map((line) => `${line}\n`), end].join(''))
}

/** The README with its tables as the results say them. */
export function updated(readme: string): string {
  const measured = replaced(readme, 'bench', readResults().flatMap(table))
  return replaced(measured, 'mini', [readmeTable(readMiniResults())])
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(README, updated(readFileSync(README, 'utf8')))
  writeFileSync(FINDINGS, findings(readMiniResults()))
}

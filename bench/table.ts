/**
 * The README's table of measurements, made from bench/results.
 *
 *   npm run bench:table     writes it between the markers
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Measurement, type Results, readResults } from './results.ts'

const README = join(import.meta.dirname, '../README.md')
const SECTION = /(<!-- bench:begin -->\n)[\s\S]*?(<!-- bench:end -->)/

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

/** The README with its table as the results say it. */
export function updated(readme: string): string {
  if (!SECTION.test(readme)) throw new Error('README.md: the markers <!-- bench:begin --> and <!-- bench:end --> are missing')
  const lines = readResults().flatMap(table)
  return readme.replace(SECTION, (_, begin, end) => [begin, ...lines.map((line) => `${line}\n`), end].join(''))
}

if (process.argv[1] === import.meta.filename) writeFileSync(README, updated(readFileSync(README, 'utf8')))

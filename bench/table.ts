/**
 * The README's tables, the page of all tables and the pages of findings, made from bench/results.
 *
 *   npm run bench:table     writes them
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readMiniResults } from './mini/results.ts'
import { findings, readmeTable } from './mini/tables.ts'
import { type Measurement, type Results, readResults } from './results.ts'
import { readSystemResults } from './systems/results.ts'
import { systemsPage, systemsTable } from './systems/tables.ts'

const README = join(import.meta.dirname, '../README.md')
const TABLES = join(import.meta.dirname, 'results/README.md')
const FINDINGS = join(import.meta.dirname, 'mini/README.md')
const SYSTEMS = join(import.meta.dirname, 'systems/README.md')
const section = (name: string) => new RegExp(`(<!-- ${name}:begin -->\\n)[\\s\\S]*?(<!-- ${name}:end -->)`)

/** What the README shows: one row for each thing that the package does. */
const IN_README = [
  'score 0.5b bf16, packed',
  'generate 0.5b bf16, 64 rows of 4 prompts',
  'generate 0.5b bf16, first token of a 512-token prompt',
  'gemm bf16 M=512 N=4096 K=4096 store f32',
  'search overhead per rollout, 1,000 rollouts per problem',
  'training step bf16',
]

const format = (n: number) => (n >= 100 ? Math.round(n).toLocaleString('en') : n.toPrecision(3))

function compared(name: string, faster: number): string {
  if (Math.abs(faster - 1) < 0.05) return `as fast as ${name}`
  return faster > 1 ? `${faster.toFixed(1)} × faster than ${name}` : `${(1 / faster).toFixed(1)} × slower than ${name}`
}

/** Cells from the name to what it is compared with. */
function cells(m: Measurement): string[] {
  const roof = m.ofRoof === undefined ? '' : `${Math.round(100 * m.ofRoof)} %`
  const against = Object.entries(m.faster ?? {}).map(([name, faster]) => compared(name, faster))
  return [m.name, `${format(m.median)} ${m.unit}`, format(m.p95), roof, against.join(', ')]
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`)
}

const HEAD = ['', 'median', 'p95', 'of the roof', 'against']
const place = ({ machine: { cpu, threads, instructionSet, node } }: Results) =>
  `${cpu}, ${threads} threads, ${instructionSet}, Node ${node}`

function table(results: Results): string[] {
  const rows = results.measurements.filter((m) => m.headline)
  if (rows.length === 0) return []
  return [`## ${results.bench}`, '', `At commit ${results.commit}: ${place(results)}`, '', ...markdown(HEAD, rows.map(cells)), '']
}

/** Every bench with its table. */
export function tablesPage(all: readonly Results[]): string {
  const intro = [
    '# Measured',
    '',
    'Made by `npm run bench:table` from the files of this folder, which `npm run bench` writes. p95 lies towards the worse end; the',
    'roof is what the machine can do at most, measured in the same process; the others ran beside it on the same machine.',
    '',
  ]
  return `${[...intro, ...all.flatMap(table)].join('\n').trimEnd()}\n`
}

/** @throws Error where a row is gone: a renamed measurement is to be renamed here */
function readmeRows(all: readonly Results[]): string[] {
  const found = IN_README.map((name) => {
    for (const results of all) {
      const row = results.measurements.find((m) => m.name === name)
      if (row) return { results, row }
    }
    throw new Error(`bench/results holds no "${name}"`)
  })
  const places = [...new Set(found.map(({ results }) => place(results)))]
  const rows = found.map(({ results, row }) => [...cells(row), results.commit])
  return [...markdown([...HEAD, 'commit'], rows), '', `${places.join('; ')}.`]
}

function replaced(readme: string, name: string, lines: readonly string[]): string {
  if (!section(name).test(readme))
    throw new Error(`README.md: the markers <!-- ${name}:begin --> and <!-- ${name}:end --> are missing`)
  return readme.replace(section(name), (_, begin, end) => [begin, ...lines.map((line) => `${line}\n`), end].join(''))
}

/** The README with its tables as the results say them. */
export function updated(readme: string): string {
  const measured = replaced(readme, 'bench', readmeRows(readResults()))
  const withMini = replaced(measured, 'mini', [readmeTable(readMiniResults())])
  return replaced(withMini, 'systems', [systemsTable(readSystemResults())])
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(README, updated(readFileSync(README, 'utf8')))
  writeFileSync(TABLES, tablesPage(readResults()))
  writeFileSync(FINDINGS, findings(readMiniResults()))
  writeFileSync(SYSTEMS, systemsPage(readSystemResults()))
}

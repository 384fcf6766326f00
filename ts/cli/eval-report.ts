/** An evaluation's results as files: JSON, Markdown, CSV, and a page to look at. */
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type AnswerTaskResults,
  categoryTable,
  choiceTable,
  countTable,
  type EvalResults,
  longRows,
  paperTable,
  resultRows,
  sweepTable,
  type Table,
  toCsv,
  toMarkdown,
} from '../eval/index.ts'
import { intervals, lines, page, type Section, tableHtml } from '../report/index.ts'

/** Appears whole or not at all. */
export async function writeWhole(out: string, name: string, text: string): Promise<void> {
  const temporary = join(out, `.${name}.tmp`)
  await writeFile(temporary, text)
  await rename(temporary, join(out, name))
}

function answersOf({ tasks }: EvalResults): Record<string, AnswerTaskResults> {
  return Object.fromEntries(
    Object.entries(tasks).filter((entry): entry is [string, AnswerTaskResults] => entry[1].kind === 'answers'),
  )
}

/** All tables, those of steps too. */
export function tablesOf(results: EvalResults): Table[] {
  const answers = answersOf(results)
  const steps = resultRows(results)
  const tables = Object.entries(answers).flatMap(([name, task]) =>
    [choiceTable(name, task), sweepTable(name, task), categoryTable(name, task)].filter((table) => table !== undefined),
  )
  return [
    ...(Object.keys(answers).length > 0 ? [paperTable(answers), ...tables, countTable(answers)] : []),
    ...(steps.length > 1 ? [{ title: 'Steps, in %', rows: steps }] : []),
  ]
}

function charts(results: EvalResults): Section[] {
  return Object.entries(answersOf(results)).flatMap(([name, { policy, prm }]) => {
    if (!prm) return []
    const all = { policy, majority: policy.majority, weighted: prm.weighted, ...prm.selection, oracle: policy.oracle }
    const points = Object.entries(all).flatMap(([choice, { accuracy, low, high }]) =>
      accuracy === null || low === null || high === null ? [] : [{ name: choice, value: accuracy, low, high }],
    )
    const sweep = Object.entries(prm.sweep).map(([aggregation, by]) => ({
      name: aggregation,
      points: Object.entries(by).map(([n, value]) => [Number(n), 100 * (value ?? 0)] as const),
    }))
    const shown = sweep.filter((line) => [prm.headline, 'mean', 'min', 'last'].includes(line.name))
    return [
      { title: `${name}: what chooses`, html: intervals(points, 'accuracy in %') },
      { title: `${name}: best of N`, html: lines(shown, 'N') },
    ]
  })
}

/** @returns the JSON as written */
export async function writeResults(out: string, results: EvalResults): Promise<string> {
  const json = `${JSON.stringify(results, null, 1)}\n`
  const tables = tablesOf(results)
  const answers = answersOf(results)
  const title = 'Evaluation'
  const models = [results.policy && `policy ${results.policy}`, results.prm && `PRM ${results.prm}`]
  const note = [...models, results.judge && `judge ${results.judge}`].filter(Boolean).join('; ')
  const sections = tables.map(({ title: heading, rows }) => ({ title: heading, html: tableHtml(rows) }))
  const csv = [...(Object.keys(answers).length > 0 ? longRows(answers) : []), ...stepCsv(results)]
  await writeWhole(out, 'results.md', tables.map((table) => `### ${table.title}\n\n${toMarkdown(table.rows)}`).join('\n'))
  await writeWhole(out, 'results.csv', toCsv(csv))
  await writeWhole(out, 'results.html', page(title, note, [...sections.slice(0, 1), ...charts(results), ...sections.slice(1)]))
  await writeWhole(out, 'results.json', json)
  return json
}

/** Step-level rows stand by themselves, with a head of their own. */
function stepCsv(results: EvalResults): string[][] {
  const rows = resultRows(results)
  return rows.length > 1 ? rows : []
}

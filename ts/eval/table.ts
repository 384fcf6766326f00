/** Step-level results as rows for people; the first row is the head. */
import type { EvalResults } from './results.ts'

const shown = (value: number | null) => (value === null ? '–' : value.toFixed(1))

export function resultRows({ tasks }: EvalResults): string[][] {
  const rows = Object.entries(tasks).flatMap(([name, task]) => {
    if (task.kind !== 'steps') return []
    const decided = Object.entries(task.prm).map(([decision, { value, low, high, threshold, tunedOn }]) => {
      const named = tunedOn === undefined ? decision : `${decision} on ${tunedOn}`
      const how = threshold === undefined ? named : `${named}: ${Number(threshold.toPrecision(3))}`
      return [
        name,
        how,
        `${shown(value)} (${shown(low)} to ${shown(high)})`,
        String(task.counts.solutions),
        String(task.counts.unscored),
      ]
    })
    const floor = (what: string, value: number | null) => [name, what, shown(value), String(task.counts.solutions), '']
    return [...decided, floor('always right', task.floors.alwaysRight), floor('always wrong', task.floors.alwaysWrong)]
  })
  return [['task', 'a step is right', '% (95 % interval)', 'solutions', 'not scored'], ...rows]
}

export function toMarkdown(rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const [head = [], ...body] = rows
  return `${[line(head), line(head.map((_, i) => (i < 2 ? '---' : '---:'))), ...body.map(line)].join('\n')}\n`
}

export function toCsv(rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  return rows.map((row) => `${row.map(cell).join(',')}\n`).join('')
}

/** Out of domain: a small table of numbers with row and column heads; sums of a row or column. */
import type { Canvas } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, say } from '../family.ts'

const ROWS = ['A', 'B', 'C'] as const
const COLUMNS = ['K', 'L', 'M'] as const

function draw(canvas: Canvas, cells: readonly (readonly number[])[]): void {
  const [left, top, width, height] = [22, 20, 24, 20]
  for (let i = 0; i <= 3; i++) {
    canvas.line([left, top + i * height], [left + 3 * width, top + i * height])
    canvas.line([left + i * width, top], [left + i * width, top + 3 * height])
  }
  ROWS.forEach((name, r) => canvas.text(name, [12, top + (r + 0.5) * height]))
  COLUMNS.forEach((name, c) => canvas.text(name, [left + (c + 0.5) * width, 11]))
  cells.forEach((row, r) =>
    row.forEach((value, c) => canvas.text(String(value), [left + (c + 0.5) * width, top + (r + 0.5) * height])),
  )
}

function draft(dice: Dice, level: Level): Draft {
  const most = { 1: 9, 2: 15, 3: 30 }[level]
  const cells = ROWS.map(() => COLUMNS.map(() => dice.int(1, most)))
  const r = dice.int(0, 2)
  const values = cells[r] as number[]
  const name = ROWS[r] as string
  const read = say(dice, [name, ...values], ['Row # is #, #, #.', 'Read row #: #, #, #.'])
  const first = calculate(dice, values[0] as number, '+', values[1] as number)
  const total = calculate(dice, first.value, '+', values[2] as number)
  return {
    question: dice.pick([`What is the sum of row ${name}?`, `Add the numbers of row ${name}.`]),
    steps: [read, first, total],
    answer: String(total.value),
    facts: Object.fromEntries(values.map((v, c) => [COLUMNS[c] as string, v])),
    draw: (canvas) => draw(canvas, cells),
  }
}

export const table: Family = { name: 'table', outOfDomain: 'tasks', mistakeRate: 0, names: [...ROWS, ...COLUMNS], draft }

/** A balance with boxes x on one side and weights: find x. */
import type { Canvas } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, say } from '../family.ts'

function draw(canvas: Canvas, boxes: number, left: number, right: number): void {
  canvas.line([10, 60], [86, 60], 2)
  canvas.polyline([[48, 60], [40, 80], [56, 80]], true, 1.5) // biome-ignore format: a path
  let x = 8
  for (let i = 0; i < boxes; i++, x += 13) {
    canvas.polyline([[x, 46], [x + 11, 46], [x + 11, 58], [x, 58]], true) // biome-ignore format: a path
    canvas.text('x', [x + 6, 52], { paper: false })
  }
  const weight = (centre: number, value: number) => {
    canvas.circle([centre, 36 + 14], 8.5, 1.2)
    canvas.text(String(value), [centre, 36 + 14.5], { paper: false })
  }
  if (left > 0) canvas.text(`+${left}`, [24, 36])
  weight(72, right)
}

const MOST = { 1: 9, 2: 15, 3: 12 } as const

function draft(dice: Dice, level: Level): Draft {
  const boxes = level === 3 ? dice.int(2, 3) : 1
  const x = dice.int(2, MOST[level])
  const left = dice.int(1, level === 1 ? 9 : 20)
  const right = boxes * x + left
  const read = say(dice, [boxes, '+', left, right], ['The balance says # x # # = #.', 'Write # x # # = #.'])
  const rest = calculate(dice, right, '-', left)
  const steps = [read, rest, ...(boxes > 1 ? [say(dice, [rest.value, '/', boxes, x], ['# # # = #.', 'Divide: # # # = #.'])] : [])]
  const added = calculate(dice, right, '+', left)
  return {
    mistake:
      boxes > 1 ? { at: 2, steps: [], answer: String(rest.value) } : { at: 1, steps: [added], answer: String(added.value) },
    question: dice.pick(['How heavy is one box x?', 'Find the weight of a box x.']),
    steps,
    answer: String(x),
    facts: { boxes, left, right },
    draw: (canvas) => draw(canvas, boxes, left, right),
  }
}

export const balance: Family = { name: 'balance', names: [], mistakeRate: 0.55, draft }

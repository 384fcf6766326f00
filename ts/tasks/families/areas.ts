/** An L of two rectangles side by side, with their sides marked: area, or area difference. */
import type { Canvas } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, mistakeUnless, say } from '../family.ts'

interface Sides {
  w1: number
  h1: number
  w2: number
  h2: number
}

function draw(canvas: Canvas, { w1, h1, w2, h2 }: Sides): void {
  const unit = Math.min(32 / Math.max(w1, w2), 62 / Math.max(h1, h2))
  const [split, bottom] = [48, 80]
  const left = Math.round(split - w1 * unit)
  const right = Math.round(split + w2 * unit)
  const box = (x0: number, x1: number, h: number) => {
    const top = Math.round(bottom - h * unit)
    canvas.polyline([[x0, bottom], [x0, top], [x1, top], [x1, bottom]], true) // biome-ignore format: a path
  }
  box(left, split, h1)
  box(split, right, h2)
  canvas.text(String(w1), [40, 88])
  canvas.text(String(w2), [56, 88])
  canvas.text(String(h1), [8, 56])
  canvas.text(String(h2), [88, 56])
}

const MOST = { 1: 5, 2: 7, 3: 9 } as const

function draft(dice: Dice, level: Level): Draft {
  const most = MOST[level]
  const side = () => dice.int(2, most)
  const sides = { w1: side(), h1: side(), w2: side(), h2: side() }
  const left = calculate(dice, sides.w1, '*', sides.h1)
  const right = calculate(dice, sides.w2, '*', sides.h2)
  const read = say(
    dice,
    [sides.w1, sides.h1, sides.w2, sides.h2],
    ['The parts are # by # and # by #.', 'Left # by #, right # by #.'],
  )
  const total = calculate(dice, left.value, '+', right.value)
  const sides1 = calculate(dice, sides.w1, '+', sides.h1)
  const sides2 = calculate(dice, sides.w2, '+', sides.h2)
  const around = calculate(dice, sides1.value, '+', sides2.value)
  return {
    mistake: mistakeUnless(String(total.value), { at: 1, steps: [sides1, sides2, around], answer: String(around.value) }),
    question: dice.pick(['What is the area of the figure?', 'Find the total area.']),
    steps: [read, left, right, total],
    answer: String(total.value),
    facts: { ...sides },
    draw: (canvas) => draw(canvas, sides),
  }
}

export const areas: Family = { name: 'areas', names: [], mistakeRate: 0.55, draft }

/** A triangle with two angles marked: find the third, or an exterior angle. */
import type { Canvas, Point } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, say } from '../family.ts'

function corners(a: number, b: number): [Point, Point, Point] {
  const [ta, tb] = [Math.tan((a * Math.PI) / 180), Math.tan((b * Math.PI) / 180)]
  const base = 72
  const apex = (base * tb) / (ta + tb)
  // Steep triangles are squeezed: as in many a schoolbook, the figure is not to scale.
  const height = Math.min(62, apex * ta)
  return [
    [12, 78],
    [12 + base, 78],
    [12 + apex, 78 - height],
  ]
}

/** A label inside the triangle, on the way from a corner to the middle. */
function inside(points: readonly Point[], corner: number, share: number): Point {
  const middle = [0, 1].map((axis) => points.reduce((sum, p) => sum + (p[axis] as number), 0) / 3) as unknown as Point
  const from = points[corner] as Point
  return [from[0] + share * (middle[0] - from[0]), from[1] + share * (middle[1] - from[1])]
}

function draw(canvas: Canvas, a: number, b: number): void {
  const points = corners(a, b)
  canvas.polyline(points, true, 1.5)
  canvas.text(String(a), [12, 88])
  canvas.text(String(b), [84, 88])
  canvas.text('x', inside(points, 2, 0.45), { paper: true })
}

const GRAIN = { 1: 10, 2: 5, 3: 1 } as const

function draft(dice: Dice, level: Level): Draft {
  const grain = GRAIN[level]
  const a = grain * dice.int(Math.ceil(35 / grain), Math.floor(75 / grain))
  const b = grain * dice.int(Math.ceil(35 / grain), Math.floor(75 / grain))
  const read = say(dice, [a, b], ['The angles are # and #.', 'Two angles: # and #.'])
  const sum = calculate(dice, a, '+', b)
  const third = calculate(dice, 180, '-', sum.value)
  // At 90 degrees this one comes out right all the same: a right answer by a wrong step.
  const inner = { at: 2, steps: [third], answer: String(third.value) }
  const common = { facts: { a, b }, draw: (canvas: Canvas) => draw(canvas, a, b) }
  if (level === 3 && dice.chance(0.4)) {
    return {
      ...common,
      question: dice.pick(['What is the exterior angle at x?', 'Find the outer angle at x.']),
      steps: [read, sum],
      answer: String(sum.value),
      mistake: inner,
    }
  }
  const around = calculate(dice, 360, '-', sum.value)
  return {
    ...common,
    question: dice.pick(['What is the angle x?', 'Find x in the triangle.']),
    steps: [read, sum, third],
    answer: String(third.value),
    mistake: { at: 2, steps: [around], answer: String(around.value) },
  }
}

export const angles: Family = { name: 'angles', names: [], mistakeRate: 0.55, draft }

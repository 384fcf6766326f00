/** Two points on a numbered grid: distance along the axes, or sums of coordinates. */
import type { Canvas } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, mistakeUnless, say } from '../family.ts'

const CELL = 8
const [LEFT, BOTTOM] = [12, 84]

type Paper = 'ruled' | 'plain'

function draw(canvas: Canvas, paper: Paper, size: number, points: Record<string, readonly [number, number]>): void {
  const at = (x: number, y: number) => [LEFT + x * CELL, BOTTOM - y * CELL] as const
  for (let i = 0; i <= size; i++) {
    if (i === 0 || paper === 'ruled') {
      canvas.line(at(i, 0), at(i, size), i === 0 ? 1.5 : 0.6, i === 0 ? 1 : 0.35)
      canvas.line(at(0, i), at(size, i), i === 0 ? 1.5 : 0.6, i === 0 ? 1 : 0.35)
    }
    if (i % 2 === 0) {
      canvas.text(String(i), [LEFT + i * CELL, BOTTOM + 8], { paper: false })
      if (i > 0) canvas.text(String(i), [LEFT - 7, BOTTOM - i * CELL], { paper: false })
    }
  }
  // Names first: no name may cover a point.
  for (const [name, [x, y]] of Object.entries(points)) {
    const [px, py] = at(x, y)
    canvas.text(name, [px + 8, py - 8])
  }
  for (const [x, y] of Object.values(points)) canvas.disc(at(x, y), 2.6)
}

const SIZE = { 1: 5, 2: 7, 3: 8 } as const

function draft(paper: Paper, dice: Dice, level: Level): Draft {
  const size = SIZE[level]
  const coordinate = () => dice.int(1, size - 1)
  const a = [coordinate(), coordinate()] as const
  let b = [coordinate(), coordinate()] as const
  // Too near, or where the other one's name stands.
  const isCrowded = (dx: number, dy: number) => Math.abs(dx) + Math.abs(dy) < 2 || (dx === dy && Math.abs(dx) === 1)
  while (isCrowded(b[0] - a[0], b[1] - a[1])) b = [coordinate(), coordinate()]
  const points = { A: a, B: b }
  const read = say(
    dice,
    ['A', a[0], a[1], 'B', b[0], b[1]],
    ['# is (#, #) and # is (#, #).', 'Point # = (#, #), point # = (#, #).'],
  )
  const common = {
    facts: { ax: a[0], ay: a[1], bx: b[0], by: b[1] },
    draw: (canvas: Canvas) => draw(canvas, paper, size, points),
  }
  const across = calculate(dice, Math.max(a[0], b[0]), '-', Math.min(a[0], b[0]))
  const up = calculate(dice, Math.max(a[1], b[1]), '-', Math.min(a[1], b[1]))
  if (level === 1) {
    return {
      ...common,
      question: dice.pick(['How far apart are A and B from left to right?', 'What is the difference of x between A and B?']),
      steps: [read, across],
      answer: String(across.value),
      mistake: mistakeUnless(String(across.value), { at: 1, steps: [up], answer: String(up.value) }),
    }
  }
  const path = calculate(dice, across.value, '+', up.value)
  const product = calculate(dice, across.value, '*', up.value)
  return {
    ...common,
    question: dice.pick(['How long is the path from A to B along the grid?', 'Walk along the grid from A to B: how many units?']),
    steps: [read, across, up, path],
    answer: String(path.value),
    mistake: mistakeUnless(String(path.value), { at: 3, steps: [product], answer: String(product.value) }),
  }
}

export const grid: Family = {
  ...{ name: 'grid', names: ['A', 'B'], mistakeRate: 0.4 },
  draft: (dice, level) => draft('ruled', dice, level),
}

/** Out of domain: known questions about points between two axes, on paper without lines. */
export const plainGrid: Family = {
  ...{ name: 'plain-grid', outOfDomain: 'pictures', names: ['A', 'B'], mistakeRate: 0.4 },
  draft: (dice, level) => draft('plain', dice, level),
}

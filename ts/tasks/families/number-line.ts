/** Out of domain: a number line with a marked start and a jump: where does it end? */
import type { Canvas } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, say } from '../family.ts'

function draw(canvas: Canvas, start: number, most: number): void {
  const [left, right, y] = [8, 88, 56]
  const at = (value: number) => left + ((right - left) * value) / most
  canvas.line([left, y], [right, y], 1.5)
  for (let v = 0; v <= most; v++) {
    const isLabelled = v % 5 === 0
    canvas.line([at(v), y - (isLabelled ? 4 : 2)], [at(v), y + (isLabelled ? 4 : 2)])
    if (isLabelled) canvas.text(String(v), [at(v), y + 11])
  }
  canvas.polyline([[at(start), y - 5], [at(start) - 4, y - 14], [at(start) + 4, y - 14]], true, 1.5) // biome-ignore format: a path
  canvas.text('A', [at(start), y - 21])
}

function draft(dice: Dice, level: Level): Draft {
  const most = { 1: 10, 2: 15, 3: 20 }[level]
  const start = dice.int(1, most - 1)
  const jumps = Array.from({ length: level === 3 ? 2 : 1 }, () => dice.int(2, 9))
  const read = say(dice, ['A', start], ['Point # is at #.', 'Read # = #.'])
  const steps: Draft['steps'] = [read]
  let at = start
  for (const jump of jumps) {
    const step = calculate(dice, at, '+', jump)
    steps.push(step)
    at = step.value
  }
  const way = jumps.map((j) => `${j}`).join(' and then ')
  return {
    question: dice.pick([
      `From A jump ${way} to the right: where do you land?`,
      `Start at A and move ${way} to the right. Where are you?`,
    ]),
    steps,
    answer: String(at),
    facts: { start },
    draw: (canvas) => draw(canvas, start, most),
  }
}

export const numberLine: Family = { name: 'number-line', outOfDomain: 'tasks', mistakeRate: 0, names: ['A'], draft }

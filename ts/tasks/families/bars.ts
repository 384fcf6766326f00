/** A bar chart with values on top: sums, differences and totals of bars. */
import type { Canvas } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, say } from '../family.ts'

const NAMES = ['A', 'B', 'C', 'D', 'E'] as const

function draw(canvas: Canvas, names: readonly string[], values: readonly number[], showValues: boolean): void {
  const [left, bottom, top] = [12, 80, 16]
  canvas.line([left, bottom], [94, bottom])
  canvas.line([left, bottom], [left, top])
  names.forEach((name, i) => {
    const centre = left + 12 + 16 * i
    const height = (values[i] as number) * 3
    canvas.rectangle([Math.round(centre - 5), bottom - height], [Math.round(centre + 5), bottom], 0.45)
    if (showValues) canvas.text(String(values[i]), [centre, 8])
    canvas.text(name, [centre, bottom + 8])
  })
}

function draft(dice: Dice, level: Level): Draft {
  const names = NAMES.slice(0, level + 2)
  const values = names.map(() => dice.int(3, 20))
  const [i, j, k] = dice.shuffle(names.map((_, n) => n)) as [number, number, number]
  const value = (n: number) => values[n] as number
  const name = (n: number) => names[n] as string
  const [big, small] = value(i) >= value(j) ? [i, j] : [j, i]
  const read = (a: number, b: number) =>
    say(dice, [name(a), value(a), name(b), value(b)], ['Bar # is # and bar # is #.', 'Read bar # = # and bar # = #.'])
  const facts = Object.fromEntries(names.map((n, at) => [n, value(at)]))
  const common = { facts, draw: (canvas: Canvas) => draw(canvas, names, values, true) }
  const difference = calculate(dice, value(big), '-', value(small))
  if (level === 1 && dice.chance(0.5)) {
    const sum = calculate(dice, value(i), '+', value(j))
    return {
      ...common,
      mistake: { at: 1, steps: [difference], answer: String(difference.value) },
      question: dice.pick([`What is the sum of bars ${name(i)} and ${name(j)}?`, `Add bar ${name(i)} and bar ${name(j)}.`]),
      steps: [read(i, j), sum],
      answer: String(sum.value),
    }
  }
  const added = calculate(dice, value(big), '+', value(small))
  if (level < 3) {
    const mistake = { at: 1, steps: [added], answer: String(added.value) }
    const question = dice.pick([
      `How much more is bar ${name(big)} than bar ${name(small)}?`,
      `What is bar ${name(big)} minus bar ${name(small)}?`,
    ])
    return { ...common, question, steps: [read(big, small), difference], answer: String(difference.value), mistake }
  }
  const third = say(dice, [name(k), value(k)], ['Bar # is #.', 'Read bar # = #.'])
  const total = calculate(dice, difference.value, '+', value(k))
  const all = calculate(dice, added.value, '+', value(k))
  return {
    ...common,
    mistake: { at: 1, steps: [added, third, all], answer: String(all.value) },
    question: dice.pick([`Take bar ${name(big)} minus bar ${name(small)}, then add bar ${name(k)}.`]),
    steps: [read(big, small), difference, third, total],
    answer: String(total.value),
  }
}

export const bars: Family = { name: 'bars', names: NAMES, mistakeRate: 0.4, draft }

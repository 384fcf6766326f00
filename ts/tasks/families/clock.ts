/** A clock face: read it, then add or take away minutes. */
import type { Canvas } from '../canvas.ts'
import { calculate, type Dice, type Draft, type Family, type Level, say } from '../family.ts'

type Face = 'numbers' | 'bare'

function draw(canvas: Canvas, face: Face, hour: number, minute: number): void {
  const [cx, cy, radius] = [48, 48, 40]
  canvas.circle([cx, cy], radius, 1.5)
  const at = (turn: number, r: number) => [cx + r * Math.sin(2 * Math.PI * turn), cy - r * Math.cos(2 * Math.PI * turn)] as const
  if (face === 'numbers') {
    for (let h = 0; h < 12; h++) canvas.line(at(h / 12, radius - 4), at(h / 12, radius), h % 3 === 0 ? 2.5 : 1)
    for (const h of [12, 3, 6, 9]) canvas.text(String(h), at(h / 12, radius - 10), { ink: 0.6 })
  } else for (const h of [0, 3, 6, 9]) canvas.disc(at(h / 12, radius - 5), 1.5)
  canvas.line([cx, cy], at((hour + minute / 60) / 12, 20), 4)
  canvas.line([cx, cy], at(minute / 60, 33), 1.5)
  canvas.disc([cx, cy], 3)
}

const timeOf = (hour: number, minute: number) => `${hour}:${String(minute).padStart(2, '0')}`

const STEP_MINUTES = { 1: 30, 2: 15, 3: 5 } as const

function draft(face: Face, dice: Dice, level: Level): Draft {
  const grain = STEP_MINUTES[level]
  const hour = dice.int(1, 12)
  const minute = grain * dice.int(0, 60 / grain - 1)
  const add = grain * dice.int(1, 60 / grain - 1)
  const read = say(dice, [hour, minute], ['The clock shows # h # min.', 'Read # h # min.'])
  const sum = calculate(dice, minute, '+', add)
  const carry = sum.value >= 60
  const newMinute = sum.value % 60
  const newHour = carry ? (hour % 12) + 1 : hour
  const result = carry
    ? say(dice, [newHour, newMinute], ['Past the hour: # h # min.', 'Carry the hour: # h # min.'])
    : say(dice, [newHour, newMinute], ['The hour stays: # h # min.', 'So it is # h # min.'])
  const stays = say(dice, [hour, newMinute], ['The hour stays: # h # min.', 'So it is # h # min.'])
  return {
    mistake: carry ? { at: 2, steps: [stays], answer: timeOf(hour, newMinute) } : undefined,
    question: dice.pick([`What time is it ${add} minutes later?`, `Add ${add} minutes to the time shown.`]),
    steps: [read, sum, result],
    answer: timeOf(newHour, newMinute),
    facts: { hour, minute },
    draw: (canvas) => draw(canvas, face, hour, minute),
  }
}

export const clock: Family = {
  ...{ name: 'clock', names: [], mistakeRate: 0.6 },
  draft: (dice, level) => draft('numbers', dice, level),
}

/** Out of domain: known questions about a face that was never seen, with four dots instead of marks and numbers. */
export const bareClock: Family = {
  ...{ name: 'bare-clock', outOfDomain: 'pictures', names: [], mistakeRate: 0.6 },
  draft: (dice, level) => draft('bare', dice, level),
}

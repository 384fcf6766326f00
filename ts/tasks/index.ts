/**
 * Mini-K12: image-and-text maths problems made by seed, with a verifiable answer, a worked solution in the
 * `<step>`/`<answer>` format, and the truth about every step that anyone writes for them.
 */
import { invalidArgument } from '../contracts/errors.ts'
import { seededRandom } from '../contracts/random.ts'
import { suggest } from '../contracts/suggest.ts'
import { Canvas } from './canvas.ts'
import { angles } from './families/angles.ts'
import { areas } from './families/areas.ts'
import { balance } from './families/balance.ts'
import { bars } from './families/bars.ts'
import { clock } from './families/clock.ts'
import { grid } from './families/grid.ts'
import { numberLine } from './families/number-line.ts'
import { table } from './families/table.ts'
import type { Dice, Family, Level, PlannedStep } from './family.ts'

export type { Family, Level } from './family.ts'

export const IMAGE_SIZE = 96
export const FAMILIES: readonly Family[] = [bars, clock, angles, areas, grid, balance, table, numberLine]
export const IN_DOMAIN: readonly Family[] = FAMILIES.filter((f) => !f.outOfDomain)
export const OUT_OF_DOMAIN: readonly Family[] = FAMILIES.filter((f) => f.outOfDomain)

export interface MiniProblem {
  /** `family/seed/index`: makes the same problem again. */
  id: string
  family: string
  level: Level
  question: string
  answer: string
  /** Worked solution; the answer block is not among the steps. */
  steps: readonly PlannedStep[]
  facts: Readonly<Record<string, number>>
  /** Grey, IMAGE_SIZE × IMAGE_SIZE bytes. */
  pixels: Uint8Array
}

function diceOf(seed: string): Dice {
  const random = seededRandom(seed)
  const int = (low: number, high: number) => low + Math.floor(random() * (high - low + 1))
  return {
    int,
    pick: (list) => list[int(0, list.length - 1)] as (typeof list)[number],
    shuffle: (list) => {
      const out = [...list]
      for (let i = out.length - 1; i > 0; i--) {
        const j = int(0, i)
        ;[out[i], out[j]] = [out[j] as (typeof out)[number], out[i] as (typeof out)[number]]
      }
      return out
    },
    chance: (probability) => random() < probability,
  }
}

export function findFamily(name: string): Family {
  const family = FAMILIES.find((f) => f.name === name)
  if (!family) {
    const known = FAMILIES.map((f) => f.name)
    throw invalidArgument(`no task family "${name}"${suggest(name, known)}`)
  }
  return family
}

/** Problem number `index` of a family; the level is drawn from `levels`. */
export function makeProblem(
  family: Family,
  seed: string | number,
  index: number,
  levels: readonly Level[] = [1, 2, 3],
): MiniProblem {
  const id = `${family.name}/${seed}/${index}`
  const dice = diceOf(id)
  const level = dice.pick(levels)
  const draft = family.draft(dice, level)
  const canvas = new Canvas(IMAGE_SIZE, IMAGE_SIZE)
  draft.draw(canvas)
  const { question, answer, steps, facts } = draft
  return { id, family: family.name, level, question, answer, steps, facts, pixels: canvas.pixels() }
}

/** `count` problems, families in turn. */
export function* makeProblems(
  families: readonly Family[],
  seed: string | number,
  count: number,
  levels?: readonly Level[],
): Generator<MiniProblem> {
  for (let i = 0; i < count; i++) yield makeProblem(families[i % families.length] as Family, seed, i, levels)
}

/** The worked solution as a policy should write it. */
export function solutionText(problem: MiniProblem): string {
  return `${problem.steps.map((s) => `<step>${s.text}</step>`).join('')}<answer>${problem.answer}</answer>`
}

/** What a step claims: its numbers, and the names of its family, in order. */
function claimOf(text: string, names: readonly string[]): string[] {
  return (text.match(/\d+|[A-Za-z]+/g) ?? []).filter((word) => /\d/.test(word) || names.includes(word))
}

/**
 * Truth about a written solution: step i is right when it claims what step i of the plan claims, whatever its
 * words, and all before it were right. The last entry is for the answer block, when `answer` is given.
 */
export function checkSteps(problem: MiniProblem, steps: readonly string[], answer?: string): boolean[] {
  const { names } = findFamily(problem.family)
  let right = true
  const verdicts = steps.map((text, i) => {
    const expected = problem.steps[i]?.claim.map(String) ?? []
    const claimed = claimOf(text, names)
    right &&= expected.length > 0 && claimed.length === expected.length && claimed.every((c, j) => c === expected[j])
    return right
  })
  if (answer !== undefined) verdicts.push(right && steps.length === problem.steps.length && answer.trim() === problem.answer)
  return verdicts
}

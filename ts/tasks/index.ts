/**
 * Mini-K12: image-and-text maths problems made by seed, with a verifiable answer, a worked solution in the
 * `<step>`/`<answer>` format, and the truth about every step that anyone writes for them.
 */
import { invalidArgument } from '../contracts/errors.ts'
import { hash32, seededRandom } from '../contracts/random.ts'
import { suggest } from '../contracts/suggest.ts'
import { Canvas } from './canvas.ts'
import { angles } from './families/angles.ts'
import { areas } from './families/areas.ts'
import { balance } from './families/balance.ts'
import { bars } from './families/bars.ts'
import { bareClock, clock } from './families/clock.ts'
import { grid, plainGrid } from './families/grid.ts'
import { numberLine } from './families/number-line.ts'
import { table } from './families/table.ts'
import type { Dice, Family, Level, Mistake, PlannedStep } from './family.ts'

export type { Family, Level, Mistake, Novelty } from './family.ts'

export const IMAGE_SIZE = 96
export const FAMILIES: readonly Family[] = [bars, clock, angles, areas, grid, balance, table, numberLine, bareClock, plainGrid]
export const IN_DOMAIN: readonly Family[] = FAMILIES.filter((f) => !f.outOfDomain)
export const OUT_OF_DOMAIN: readonly Family[] = FAMILIES.filter((f) => f.outOfDomain)

export interface MiniProblem {
  /** `family/seed/index`, or `family/part/seed/index` where a part was asked for: makes the same problem again. */
  id: string
  family: string
  level: Level
  question: string
  answer: string
  /** Worked solution; the answer block is not among the steps. */
  steps: readonly PlannedStep[]
  /** The common wrong way of this problem, where there is one. */
  mistake: Mistake | undefined
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

/**
 * A family's pictures fall into two parts that share none. WHY: there are few of some (a clock that shows half hours: 24),
 * and of those another seed draws what training has seen. The shipped models saw the part `train` alone.
 */
export const PARTS = ['train', 'test'] as const
export type Part = (typeof PARTS)[number]

const TEST_SHARE = 0.2
/** Under this salt the share is near that at every level, also where pictures are few. */
const PART_SALT = 5

/** The same for problems about one picture. */
export const pictureKey = (family: string, facts: MiniProblem['facts']) => `${family} ${JSON.stringify(facts)}`

/** Decided by what the picture shows, whatever the question about it. */
export function partOf(family: string, facts: MiniProblem['facts']): Part {
  return hash32(pictureKey(family, facts), PART_SALT) < TEST_SHARE * 2 ** 32 ? 'test' : 'train'
}

export interface Choice {
  /** One is drawn for each problem; all three where absent. */
  levels?: readonly Level[] | undefined
  /** Both where absent. */
  part?: Part | undefined
}

/** Problem number `index` of a family. */
export function makeProblem(
  family: Family,
  seed: string | number,
  index: number,
  { levels = [1, 2, 3], part }: Choice = {},
): MiniProblem {
  const id = [family.name, ...(part ? [part] : []), seed, index].join('/')
  const dice = diceOf(id)
  const level = dice.pick(levels)
  let draft = family.draft(dice, level)
  while (part && partOf(family.name, draft.facts) !== part) draft = family.draft(dice, level)
  const canvas = new Canvas(IMAGE_SIZE, IMAGE_SIZE)
  draft.draw(canvas)
  const { question, answer, steps, mistake, facts } = draft
  return { id, family: family.name, level, question, answer, steps, mistake, facts, pixels: canvas.pixels() }
}

/** `count` problems, families in turn. */
export function* makeProblems(
  families: readonly Family[],
  seed: string | number,
  count: number,
  choice?: Choice,
): Generator<MiniProblem> {
  for (let i = 0; i < count; i++) yield makeProblem(families[i % families.length] as Family, seed, i, choice)
}

export interface Written {
  steps: readonly string[]
  answer: string
}

/**
 * The solution that a policy is shown. WHY not always the right one: a policy that has only seen flawless work errs in
 * reading pictures alone; people's work goes wrong in its reasoning, always in the same few ways, and that is what
 * step labels are for.
 */
export function writtenSolution(problem: MiniProblem): Written {
  const { id, steps, answer, mistake } = problem
  const texts = (plan: readonly PlannedStep[]) => plan.map((step) => step.text)
  const isWrong = mistake !== undefined && seededRandom(`${id}/mistake`)() < findFamily(problem.family).mistakeRate
  if (!isWrong) return { steps: texts(steps), answer }
  return { steps: [...texts(steps.slice(0, mistake.at)), ...texts(mistake.steps)], answer: mistake.answer }
}

export function solutionText({ steps, answer }: Written): string {
  return `${steps.map((text) => `<step>${text}</step>`).join('')}<answer>${answer}</answer>`
}

/** What a step claims: its numbers, signs of arithmetic and the names of its family, in order. */
function claimOf(text: string, names: readonly string[]): string[] {
  return (text.match(/\d+|[A-Za-z]+|[-+*/]/g) ?? []).filter((word) => !/[A-Za-z]/.test(word) || names.includes(word))
}

const claimsSame = (text: string, claim: PlannedStep['claim'], names: readonly string[]) => {
  const claimed = claimOf(text, names)
  return claimed.length === claim.length && claimed.every((word, i) => word === String(claim[i]))
}

/** Whether a solution whose first error stands at step `at` goes wrong there in the problem's common way. */
export function isCommonMistake({ family, mistake }: MiniProblem, steps: readonly string[], at: number): boolean {
  if (mistake?.at !== at) return false
  const first = mistake.steps[0]
  return first ? claimsSame(steps[at] ?? '', first.claim, findFamily(family).names) : steps.length === at
}

/**
 * Truth about a written solution: step i is right when it claims what step i of the plan claims, whatever its
 * words, and all before it were right. The last entry is for the answer block, when `answer` is given.
 */
export function checkSteps(problem: MiniProblem, steps: readonly string[], answer?: string): boolean[] {
  const { names } = findFamily(problem.family)
  let right = true
  const verdicts = steps.map((text, i) => {
    const expected = problem.steps[i]
    right &&= expected !== undefined && claimsSame(text, expected.claim, names)
    return right
  })
  if (answer !== undefined) verdicts.push(right && steps.length === problem.steps.length && answer.trim() === problem.answer)
  return verdicts
}

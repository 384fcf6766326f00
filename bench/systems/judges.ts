/**
 * Stand-ins for judges in words, which no model of this size is. The simulated one knows the truth and says it as often as it is told
 * to: what a system makes of such a judge is real, the judge is not. The programmed one knows nothing: it copies a step's equation
 * into code and believes what a sandbox prints.
 */
import { seededRandom } from '../../ts/contracts/random.ts'
import type { Choice, Critic, CriticMessage, Problem, StepScorer } from '../../ts/index.ts'
import type { MiniTask } from '../../ts/mini/problems.ts'
import { checkSteps } from '../../ts/tasks/index.ts'
import { comparisonOf } from '../../ts/tasks/sums.ts'

/** Whether each of a solution's steps is right, the answer being the last of a whole one. */
export type Truth = (steps: readonly string[]) => boolean[]

export function truthOfTask({ mini }: MiniTask): Truth {
  const { length } = mini.steps
  return (steps) => [
    ...checkSteps(mini, steps.slice(0, length), steps[length]),
    ...steps.slice(length + 1).map(() => false), // nothing stands behind the answer
  ]
}

/** A question that names its problem: many ask the same about different pictures. */
const named = ({ id, question }: Pick<Problem, 'id' | 'question'>) => `${question} [${id}]`

/** A judge that reads, and is shown no picture. */
export function inWords(scorer: StepScorer): StepScorer {
  return {
    name: `${scorer.name}+in-words`,
    score: ({ problem, solutions }, signal) => {
      const { id, answer } = problem
      return scorer.score({ problem: { id, question: named(problem), answer }, solutions }, signal)
    },
  }
}

const SURE = 0.95
/** Log-probabilities of a word and of its opposite. */
const saying = (isFirst: boolean): Choice[] =>
  [isFirst ? SURE : 1 - SURE, isFirst ? 1 - SURE : SURE].map((p) => ({ logprob: Math.log(p), isBound: false }))

const lastOf = (messages: readonly CriticMessage[], role: CriticMessage['role']) =>
  messages.findLast((message) => message.role === role)?.content ?? ''

function part(text: string, from: string, to: string): string {
  const begin = text.lastIndexOf(from)
  const end = text.indexOf(to, begin + from.length)
  if (begin < 0 || end < 0) throw new Error(`a judge was asked without "${from}" and "${to}"`)
  return text.slice(begin + from.length, end).trim()
}

const SOUND = 'Every number comes from the question or from the steps before.'
const UNSOUND = 'This is not what the question asks for at this place.'

/** @param truths by problem id; @param right how often a single judgement is the truth; @param seed of its errors */
export function simulatedJudge(truths: ReadonlyMap<string, Truth>, right: number, seed: number): Critic {
  const truthOf = (question: string, steps: readonly string[]) => {
    const truth = truths.get(/\[([^\]]+)\]$/.exec(question)?.[1] ?? '')
    if (!truth) throw new Error(`a judge of other problems was asked: ${question}`)
    return truth(steps)
  }
  /** One number for each thing that is asked about, and for each time that it is. */
  const luck = (...what: readonly unknown[]) => seededRandom(JSON.stringify([seed, ...what]))

  const aboutStep = (asked: string, sample: number): string => {
    const question = part(asked, 'Question: ', '\nPrevious Steps: ')
    const before = part(asked, '\nPrevious Steps: ', '\nNow Step: ')
    const step = part(asked, '\nNow Step: ', '\nPlease carefully')
    const steps = [...(before.includes('there are no Previous Steps') ? [] : before.split('\n')), step]
    const isRight = truthOf(question, steps).at(-1) as boolean
    const says = luck(question, steps, sample)() < right ? isRight : !isRight
    return `${says ? SOUND : UNSOUND} Verification: Is the step correct (Yes/No)? ${says ? 'Yes' : 'No'}`
  }

  const aboutSolution = (asked: string, sample: number): string => {
    const question = part(asked, '[Problem]\n', '\n\n')
    const steps = [...asked.matchAll(/<paragraph_\d+>\n([\s\S]*?)\n<\/paragraph_\d+>/g)].map(([, text = '']) => text)
    const random = luck(question, steps, sample)
    const firstWrong = truthOf(question, steps).indexOf(false)
    const others = Array.from({ length: steps.length + 1 }, (_, i) => i - 1).filter((index) => index !== firstWrong)
    const says = random() < right ? firstWrong : (others[Math.floor(random() * others.length)] as number)
    return `${says < 0 ? SOUND : UNSOUND} \\boxed{${says}}`
  }

  return {
    name: `simulated-judge-right-${right}-seed-${seed}`,
    async write({ messages, sample }) {
      const asked = lastOf(messages, 'user')
      return asked.includes('\nNow Step: ') ? aboutStep(asked, sample) : aboutSolution(asked, sample)
    },
    choose: async ({ messages }) => saying(lastOf(messages, 'assistant').startsWith(SOUND)),
  }
}

/**
 * The code that checks a step: that its equation holds, or that an answer repeats what the step before it came to. What is neither is
 * believed.
 */
export function checkingCode(step: string, before: string | undefined): string {
  const comparison = comparisonOf(step)
  if (comparison !== undefined) return `print(${comparison})`
  const result = before && comparisonOf(before)?.split(' == ')[1]
  return result !== undefined && /^-?\d+$/.test(step.trim()) ? `print(${step.trim()} == ${result})` : 'print(True)'
}

/** Turn by turn as GenPRM asks it: an analysis, code, what that printed, the word in the box. */
export function programmedJudge(): Critic {
  /** Paragraphs that were asked about so far; the first stands behind the question. */
  const paragraphs = (messages: readonly CriticMessage[]) =>
    messages.filter(({ role }) => role === 'user').map(({ content }) => content.split('\n').at(-1) as string)
  return {
    name: 'programmed-judge-of-equations',
    async write({ messages }) {
      const begun = messages.at(-1)?.content ?? ''
      const [step = '', before] = paragraphs(messages).reverse()
      if (begun.endsWith('```python\n')) return checkingCode(step, before)
      if (begun.includes('[Code Output]')) return '</verify>\n<output>\n'
      return `It says: ${step}`
    },
    choose: async ({ messages }) => saying(/\[Code Output\]\n\n```\nTrue\n/.test(messages.at(-1)?.content ?? '')),
  }
}

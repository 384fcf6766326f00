/** Generative judges as step scorers: what is read of their words, and what becomes of it, by a scripted critic. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Choice, Critic, CriticRequest, WriteRequest } from '../../../ts/contracts/critic.ts'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import type { Runner, RunRequest, RunResult } from '../../../ts/contracts/runner.ts'
import { readBoxedIndex } from '../../../ts/critics/critique.ts'
import { CRITIC_NAMES, criticScorer } from '../../../ts/critics/index.ts'
import { readThought } from '../../../ts/critics/vr-prm.ts'

const problem = { id: 'p', question: 'What is 3 + 4?', answer: '7' }
const steps = ['Step 1: We add.', 'Step 2: 3 + 4 = 8.', 'The answer is 8.']
const ASKED = 'Is the step correct (Yes/No)?'

interface Script {
  write: (request: WriteRequest) => string
  choose?: (request: CriticRequest & { choices: readonly string[] }) => (number | null)[]
}

/** Probabilities as a model would tell them; null: not told. */
function scripted({ write, choose }: Script): Critic & { written: WriteRequest[]; chosen: CriticRequest[] } {
  const [written, chosen]: [WriteRequest[], CriticRequest[]] = [[], []]
  return {
    ...{ name: 'scripted', written, chosen },
    async write(request) {
      written.push(request)
      return write(request)
    },
    async choose(request): Promise<Choice[]> {
      chosen.push(request)
      const given = choose?.(request) ?? []
      return given.map((p) => (p === null ? { logprob: -9, isBound: true } : { logprob: Math.log(p), isBound: false }))
    },
  }
}

const lastOf = (request: CriticRequest) => request.messages.at(-1)?.content ?? ''
const rounded = (list: readonly number[] | undefined) => list?.map((x) => Math.round(x * 1e9) / 1e9)

test('R-PRM: every step alone, cut behind its question; the mean of P(Yes) over the readable analyses, and their spread', async () => {
  // Two numbers that do not sum to 1: the rest of the vocabulary is left out.
  const table: (number | null)[][] = [
    [0.6, 0.2],
    [0.1, 0.3],
  ]
  const critic = scripted({
    write: ({ sample, messages }) =>
      sample === 2 && lastOf({ messages }).includes('Now Step: Step 1')
        ? 'I wonder.'
        : `#${sample}. Verification: ${ASKED} Yes, of course.`,
    choose: (request) => table[Number(/#(\d)/.exec(lastOf(request))?.[1]) % 2] as number[],
  })
  const [scored] = await criticScorer('r-prm', critic, { judgements: 3 }).score({ problem, solutions: [steps] })
  // Step 1: analyses 0 and 1: 0.75, 0.25. Others: 0.75, 0.25, 0.75.
  assert.equal(rounded(scored?.scores), rounded([0.5, 1.75 / 3, 1.75 / 3]))
  const spread = Math.sqrt(((0.75 - 1.75 / 3) ** 2 * 2 + (0.25 - 1.75 / 3) ** 2) / 2)
  assert.equal(rounded(scored?.std), rounded([Math.sqrt(0.125), spread, spread]))
  assert.is(critic.written.length, 9)
  assert.is(critic.chosen.length, 8)
  for (const request of critic.chosen) {
    assert.ok(lastOf(request).endsWith(ASKED), 'nothing stands between the question and what is read')
    assert.equal((request as unknown as { choices: string[] }).choices, [' Yes', ' No'])
  }
})

test('what no analysis tells is no score, for that solution alone; a choice that is not listed counts as the last that is', async () => {
  const critic = scripted({
    write: ({ messages }) => (lastOf({ messages }).includes('Now Step: mute') ? 'Hm.' : ASKED),
    choose: (request) => (JSON.stringify(request.messages).includes('bound') ? [0.5, null] : [0.2, 0.6]),
  })
  const solutions = [['fine', 'mute'], ['fine'], ['bound'], []]
  const scored = await criticScorer('r-prm', critic, { judgements: 2 }).score({ problem, solutions })
  assert.equal(scored[0], { scores: [], error: 'step 2: none of 2 judgements could be read' })
  assert.equal(rounded(scored[1]?.scores), [0.25])
  assert.equal(rounded(scored[2]?.scores), rounded([0.5 / (0.5 + Math.exp(-9))]))
  assert.equal(scored[3], { scores: [] })
  const untold = scripted({ write: () => ASKED, choose: () => [null, null] })
  const [none] = await criticScorer('r-prm', untold, { judgements: 1 }).score({ problem, solutions: [['fine']] })
  assert.match(none?.error ?? '', /none of 1 judgements/)
})

test('GenPRM: a turn a step, earlier turns hold their judgement alone, each sample its own', async () => {
  const critic = scripted({
    write: ({ sample, messages }) => `thought ${sample}.${messages.length}`,
    // Sample 1 holds the second step for wrong.
    choose: (request) => (/thought 1\.5/.test(lastOf(request)) ? [0.1, 0.9] : [0.9, 0.1]),
  })
  const [scored] = await criticScorer('genprm', critic, { judgements: 2 }).score({ problem, solutions: [steps] })
  assert.equal(rounded(scored?.scores), [0.9, 0.5, 0.9])
  assert.ok(critic.written.every((r) => r.stop?.includes('</analyze>') && lastOf(r).startsWith('<analyze>\n')))
  const reads = critic.chosen.map(lastOf)
  for (const text of reads)
    assert.match(text, /^<analyze>\n.*thought \d\.\d<\/analyze>\n<output>\n\*\*Judgement\*\*: \$\\boxed\{$/s)
  const third = critic.written.filter((r) => r.messages.length === 7)
  assert.is(third.length, 2)
  for (const { sample, messages } of third) {
    const before = messages.filter((m) => m.role === 'assistant').map((m) => /boxed\{(\w+)\}\$/.exec(m.content)?.[1])
    assert.equal(before.slice(0, 2), ['Yes', sample === 1 ? 'No' : 'Yes'])
  }
})

/** Runs nothing: says what it was given, or what stands in the code's last line. */
function scriptedRunner(): Runner & { asked: RunRequest[] } {
  const asked: RunRequest[] = []
  return {
    ...{ name: 'scripted-python', asked },
    async run(request): Promise<RunResult> {
      asked.push(request)
      if (request.code.includes('while')) return { outcome: 'time', output: '' }
      if (request.code.includes('1 / 0')) return { outcome: 'failed', output: 'so far\nZeroDivisionError: division by zero\n' }
      return { outcome: 'ended', output: `said ${request.code}\n` }
    },
  }
}

test('GenPRM with code: blocks run in one namespace, what they print is told, three of them at most', async () => {
  const turns = [
    ['print(1)', '```python\nwhile True: pass', '</verify>\n<output>\n**Judgement**: $'],
    ['1 / 0', '</verify>\n<output>\n**Judgement**: $'],
    ['print(2)', 'Again:\n```python\nprint(3)', '```python\nprint(4)', 'never asked'],
  ]
  const critic = scripted({
    write: ({ messages, stop }) => {
      const [step, text] = [(messages.length - 3) / 2, lastOf({ messages })]
      if (stop?.includes('</analyze>')) return `thought ${step}`
      return turns[step]?.[text.split('[Code Output]').length - 1] as string
    },
    choose: () => [0.75, 0.25],
  })
  const runner = scriptedRunner()
  const scorer = criticScorer('genprm', critic, { judgements: 1 }, runner)
  assert.match(scorer.name, /\+code=scripted-python$/)
  const [scored] = await scorer.score({ problem, solutions: [steps] })
  assert.equal(rounded(scored?.scores), [0.75, 0.75, 0.75])
  assert.equal(
    runner.asked.map(({ code, before }) => [before?.length, code]),
    [
      [0, 'print(1)'],
      [1, 'while True: pass'],
      [1, '1 / 0'], // what did not end is not run again
      [2, 'print(2)'],
      [3, 'print(3)'],
      [4, 'print(4)'],
    ],
  )
  const [first, second, third] = critic.chosen.map(lastOf)
  const opening = (n: number) => `<analyze>\nLet's analyze the Paragraph ${n} step by step: thought ${n - 1}</analyze>\n`
  const verify = "<verify>\nLet's use python code to find any potential error:\n```python\n"
  const output = (text: string) => `\n\`\`\`\n[Code Output]\n\n\`\`\`\n${text}\n\`\`\`\n`
  const box = '</verify>\n<output>\n**Judgement**: $\\boxed{'
  const timeOut = output('Code execute time out: Code execution timed out')
  assert.is(first, `${opening(1)}${verify}print(1)${output('said print(1)')}\`\`\`python\nwhile True: pass${timeOut}${box}`)
  assert.is(second, `${opening(2)}${verify}1 / 0${output('Code execute Error: ZeroDivisionError: division by zero')}${box}`)
  assert.is(third, `${opening(3)}<output>\n**Judgement**: $\\boxed{`, 'behind the last block the analysis is judged alone')
  assert.match(scored?.words ?? '', /said print\(1\)/)
  assert.throws(() => criticScorer('critique', critic, {}, runner), /critique writes no code/)
})

test('ThinkPRM: a step is what the solution up to it is', async () => {
  const critic = scripted({
    write: ({ messages }) =>
      ` ${/\[Solution\]\n\n([\s\S]*?)\n\nReview/.exec(messages[0]?.content ?? '')?.[1]?.split('\n').length} steps. \n`,
    choose: (request) => [1 / Number(/by step: (\d)/.exec(lastOf(request))?.[1]), 0.5],
  })
  const [scored] = await criticScorer('thinkprm', critic, { judgements: 1 }).score({ problem, solutions: [steps] })
  assert.equal(rounded(scored?.scores), rounded([1 / 1.5, 0.5, 1 / 3 / (1 / 3 + 0.5)]))
  assert.is(scored?.std, undefined, 'one judgement has no spread')
  assert.match(lastOf(critic.chosen[0] as CriticRequest), /^\nLet's verify step by step: 1 steps\.\nIs the solution correct\? $/)
})

test('critique: the share of judgements whose first error lies behind a step', async () => {
  const boxes = ['\\boxed{1}', 'First \\boxed{0}? No: \\boxed{2}', '\\boxed{-1}', 'nothing', '\\boxed{3}']
  const critic = scripted({ write: ({ sample }) => boxes[sample] as string })
  const [scored] = await criticScorer('critique', critic, { judgements: 5 }).score({ problem, solutions: [steps] })
  assert.equal(rounded(scored?.scores), rounded([1, 2 / 3, 1 / 3]))
  assert.is(critic.chosen.length, 0)
  const read = [
    '\\boxed{0}',
    '\\boxed{ -1 }',
    '\\boxed{\\text{paragraph_2}}',
    '\\boxed{3}',
    '\\boxed{-2}',
    '\\boxed{1.5}',
    '1',
    '',
  ]
  assert.equal(
    read.map((text) => readBoxedIndex(text, 3)),
    [0, -1, 2, undefined, undefined, undefined, undefined, undefined],
  )
})

test('critique with a solution of the judge’s own: each sample solves first, and says what it has', async () => {
  const critic = scripted({
    write: ({ sample, messages }) => {
      const asked = lastOf({ messages })
      return asked === problem.question
        ? `<think>8?</think>It is ${7 + sample}.`
        : `\\boxed{${asked.includes('It is 7.') ? 1 : -1}}`
    },
  })
  const scorer = criticScorer('critique', critic, { judgements: 2, ownSolution: true })
  const [scored] = await scorer.score({ problem, solutions: [steps] })
  assert.equal(scored?.scores, [1, 0.5, 0.5])
  assert.is(critic.written.length, 4)
  const judged = critic.written.map(lastOf).filter((text) => text !== problem.question)
  assert.ok(judged.every((text) => /\[Your own solution, which may be wrong too\]\nIt is \d\.\n\n\[Solution\]/.test(text)))
  assert.match(scorer.name, /\+own$/)
  assert.throws(() => criticScorer('r-prm', critic, { ownSolution: true }), /r-prm takes no solution of its own: critique does/)
})

test('names hold all that changes scores; pictures go to forms that show them', async () => {
  const critic = scripted({ write: () => '\\boxed{-1}' })
  const names = CRITIC_NAMES.map((form) => criticScorer(form, critic).name)
  assert.is(new Set([...names, criticScorer('critique', critic, { seed: 1 }).name]).size, CRITIC_NAMES.length + 1)
  const pictured = { ...problem, image: 'a.png' }
  await criticScorer('critique', critic).score({ problem: pictured, solutions: [steps] })
  assert.equal(critic.written[0]?.images, ['a.png'])
  const refused = await criticScorer('genprm', critic)
    .score({ problem: pictured, solutions: [steps] })
    .catch((e) => e)
  assert.match((refused as EngineError).message, /genprm scoring takes no image/)
  assert.throws(() => criticScorer('gen-prm', critic), /no generative judge "gen-prm".*genprm/)
})

test('VRPRM: one thought, then 1 or 0 step by step with the judgements before; pictures behind the text', async () => {
  const critic = scripted({
    write: () => 'Sure. <think> The sum is 7. </think> Done.',
    choose: (request) => (lastOf(request).includes('[Current Step]\nStep 1:') ? [0.1, 0.3] : [0.6, 0.2]),
  })
  const shown = { ...problem, question: 'What is <image> + 4?', image: 'a.png' }
  const [scored] = await criticScorer('vrprm', critic).score({ problem: shown, solutions: [['We add.', '3 + 4 = 8.', '8']] })
  assert.equal(rounded(scored?.scores), rounded([0.75, 0.25, 0.75]))
  assert.is(scored?.words, 'The sum is 7.')
  assert.is(critic.written.length, 1)
  assert.equal(critic.written[0]?.images, ['a.png'])
  assert.ok(lastOf(critic.written[0] as CriticRequest).endsWith('Step 2: 8\n<image>'))
  assert.ok(critic.chosen.every(({ images }) => images === undefined))
  const told = critic.chosen.map((request) => /Previous Step Judgments\]\n([\s\S]*?)\n\[/.exec(lastOf(request))?.[1])
  assert.equal(told, ['None', 'Step 0: \\boxed{1}', 'Step 0: \\boxed{1}\nStep 1: \\boxed{0}'])
  for (const [text, thought] of [
    ['opened by the template</think>', 'opened by the template'],
    ['<think>cut by the lim', 'cut by the lim'],
    ['no block', 'no block'],
  ])
    assert.is(readThought(text as string), thought)
})

test.run()

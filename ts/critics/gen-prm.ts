/**
 * GenPRM (arXiv 2504.00891): one turn a step; an analysis, code that checks it, what that printed, then the word in the box.
 * Without a runner the turn goes from the analysis to the judgement, as the published evaluation goes where running is off.
 */
import type { CriticMessage } from '../contracts/critic.ts'
import type { Runner, RunResult } from '../contracts/runner.ts'
import { type Asking, type CriticForm, type Judged, shareOfFirst } from './form.ts'

const SYSTEM = 'You are a math teacher. Your task is to review and critique the paragraphs in solution step by step.'
const ANALYSED = '</analyze>'
const VERIFY = "<verify>\nLet's use python code to find any potential error:\n```python\n"
const FENCE = '\n```\n'
const OUTPUT = '<output>'
const BOX = '\\boxed{'
/** Blocks of code in one turn, as published; behind them the analysis is judged alone. */
const MAX_BLOCKS = 3
const CODE_SECONDS = 5
const JUDGEMENT = '<output>\n**Judgement**: $\\boxed'

export const analyzeStart = (step: number) => `<analyze>\nLet's analyze the Paragraph ${step + 1} step by step: `
export const genPrmReply = (isRight: boolean) => `${JUDGEMENT}{${isRight ? 'Yes' : 'No'}}$\n</output>\n`

/** The conversation before a step is judged, given the replies to those before it. */
export function genPrmMessages({ question, steps }: Pick<Judged, 'question' | 'steps'>, replies: readonly string[]) {
  const messages: CriticMessage[] = [{ role: 'system', content: SYSTEM }]
  for (let step = 0; step <= replies.length; step++) {
    messages.push({ role: 'user', content: step === 0 ? `${question}\n${steps[0]}` : (steps[step] as string) })
    const reply = replies[step]
    if (reply !== undefined) messages.push({ role: 'assistant', content: reply })
  }
  return messages
}

/** What the model is told of its code, in the words that it was trained with. */
function told({ outcome, output }: RunResult): string {
  if (outcome === 'ended') return output.trim()
  if (outcome === 'time') return 'Code execute time out: Code execution timed out'
  return `Code execute Error: ${output.trim().split('\n').at(-1) ?? outcome}`
}

const lastBlock = (turn: string) => [...turn.matchAll(/```python\s*([\s\S]*?)\s*```/g)].at(-1)?.[1]

/** One namespace lives through a solution: blocks that came to their end are run before later ones. */
class Notebook {
  readonly #runner: Runner
  readonly #signal: AbortSignal | undefined
  readonly #blocks: string[] = []

  constructor(runner: Runner, signal: AbortSignal | undefined) {
    this.#runner = runner
    this.#signal = signal
  }

  async run(code: string | undefined): Promise<string> {
    if (code === undefined) return 'Code format error: No code found.'
    const request = { code, before: [...this.#blocks], limits: { seconds: CODE_SECONDS } }
    const result = await this.#runner.run(request, this.#signal)
    if (result.outcome === 'ended' || result.outcome === 'failed') this.#blocks.push(code)
    return told(result)
  }
}

/** The turn up to its box; undefined where it does not get there. */
async function verified(
  messages: readonly CriticMessage[],
  analysed: string,
  notebook: Notebook,
  { critic, sampling, sample, signal }: Asking,
): Promise<string | undefined> {
  let turn = analysed + VERIFY
  for (let blocks = 0; blocks < MAX_BLOCKS; blocks++) {
    const begun = { role: 'assistant' as const, content: turn }
    const text = await critic.write({ messages: [...messages, begun], sampling, sample, stop: [FENCE, BOX] }, signal)
    turn += text
    // WHY not as it stands: a turn that was cut has its word read at the same place.
    if (text.includes(OUTPUT)) return `${turn.slice(0, turn.lastIndexOf(OUTPUT))}${JUDGEMENT}{`
    turn += FENCE
    turn += `[Code Output]\n\n\`\`\`\n${await notebook.run(lastBlock(turn))}${FENCE}`
  }
  return undefined
}

export const genPrm: CriticForm = {
  name: 'genprm',
  showsPictures: false,
  writesCode: true,
  defaults: { judgements: 8, temperature: 0.6, topP: 0.95, topK: 20, maxTokens: 2048 },
  async judge(judged, asking) {
    const { critic, sampling, sample, signal, runner } = asking
    const notebook = runner && new Notebook(runner, signal)
    const shares: (number | null)[] = []
    const replies: string[] = []
    const words: string[] = []
    for (const [step] of judged.steps.entries()) {
      const messages = genPrmMessages(judged, replies)
      const opened = { role: 'assistant' as const, content: analyzeStart(step) }
      const analysis = await critic.write({ messages: [...messages, opened], sampling, sample, stop: [ANALYSED] }, signal)
      const analysed = `${opened.content}${analysis}${ANALYSED}\n`
      const turn = (notebook && (await verified(messages, analysed, notebook, asking))) ?? `${analysed}${JUDGEMENT}{`
      const reply = { role: 'assistant' as const, content: turn }
      const share = shareOfFirst(await critic.choose({ messages: [...messages, reply], choices: ['Yes', 'No'] }, signal))
      shares.push(share)
      words.push(turn)
      // What was not read is not held against the step.
      replies.push(genPrmReply(share === null || share >= 0.5))
    }
    return { steps: shares, words: words.join('\n\n') }
  },
}

/**
 * Samples as rows of tokens, with what is to be learnt in them: the same templates that prompts are made with. Errors say what
 * is wrong with a sample; which one it is says who asks.
 */

import { invalidArgument } from '../contracts/errors.ts'
import { suggest } from '../contracts/suggest.ts'
import type { TrainAnswer, TrainableOptions, TrainRow, TrainSample } from '../contracts/trainer.ts'
import type { ScoringFamily } from './families/index.ts'
import { conversationIds, usesChatTemplate } from './prompt.ts'
import { replyIds, turnEnd } from './template/chat.ts'
import { PRM_TEMPLATES, type PrmTemplate } from './template/prm.ts'
import { ROLLOUT_TEMPLATES, rolloutPrompt, solutionIds } from './template/rollout.ts'
import type { Tokenizer } from './tokenizer/index.ts'

export const MARKER_TOKEN = '<prm>'
const END_OF_TURN = '<|im_end|>'

export interface RowContext {
  tokenizer: Tokenizer
  template: string
  systemMessage: string | undefined
  ownChat: boolean
  lossWeight: TrainableOptions['lossWeight']
  /** Of a model with a reward head: whose prompts are learnt, instead of the template. */
  family?: ScoringFamily | undefined
}

/**
 * `otherPictures`: the model's pictures are not written as InternVL's are.
 * @throws EngineError INVALID_ARGUMENT listing the templates of the task
 */
export function trainTemplate(task: TrainableOptions['task'], name: string | undefined, otherPictures: boolean): string {
  const known = task === 'prm' ? Object.keys(PRM_TEMPLATES) : ROLLOUT_TEMPLATES
  if (name === undefined) return task === 'policy' ? 'prefill' : otherPictures ? 'prefill-prm' : 'internvl2_5-prm-train'
  if (otherPictures && INTERNVL_TEMPLATES.includes(name)) {
    throw invalidArgument(`template ${name} writes pictures as InternVL reads them, which this model does not: take prefill-prm`)
  }
  if (!known.includes(name)) throw invalidArgument(`no ${task} template "${name}"${suggest(name, known)}`)
  return name
}

const INTERNVL_TEMPLATES: readonly string[] = ['internvl2_5-prm-score', 'internvl2_5-prm-train'] satisfies PrmTemplate[]

const EMPTY_FLOATS = new Float32Array()
const EMPTY_INTS = new Int32Array()
const sum = (values: Float32Array) => values.reduce((total, w) => total + w, 0)

const UNMARKED = { markers: EMPTY_INTS, labels: EMPTY_FLOATS, markerWeights: EMPTY_FLOATS }

/** What stands in front of the answer, as the model is asked it: the question by its template, or a conversation. */
function askedIds({ turns, question }: TrainSample, imageRows: readonly number[], context: RowContext): number[] {
  const { tokenizer, template, systemMessage, ownChat } = context
  if (turns) return conversationIds(turns, {}, { tokenizer, imageRows, systemMessage, ownChat })
  const asked = { question, steps: [], imageRows, ownChat, ...(systemMessage && { systemMessage }) }
  return rolloutPrompt(template, tokenizer, asked)
}

/** What ends an answer: behind steps as our templates have it, behind a reply as what asked for it does. */
function endOf(answer: TrainAnswer, imageRows: readonly number[], { tokenizer, ownChat }: RowContext): number {
  const inOurs = tokenizer.added.ids.get(END_OF_TURN)
  const isReply = 'reply' in answer
  const own = isReply && usesChatTemplate({ tokenizer, imageRows, ownChat }) ? turnEnd(tokenizer) : undefined
  const end = own ?? inOurs ?? (isReply ? tokenizer.eosId : undefined)
  if (end === undefined) throw invalidArgument(`the tokenizer has no ${END_OF_TURN}, which ends what a policy writes`)
  return end
}

/** The words of an answer, and what ends the turn. */
function answerIds(answer: TrainAnswer, imageRows: readonly number[], context: RowContext): number[] {
  const { tokenizer } = context
  const words = 'reply' in answer ? replyIds(tokenizer, answer.reply) : solutionIds(tokenizer, answer.steps, answer.answer)
  return [...words, endOf(answer, imageRows, context)]
}

/** `square`: a sample's tokens weigh 1/sqrt(tokens); `sample`: 1/tokens. */
function answeredRow(prompt: readonly number[], answer: TrainAnswer, imageRows: readonly number[], context: RowContext) {
  const { lossWeight } = context
  const learnt = answerIds(answer, imageRows, context)
  const weight = lossWeight === 'token' ? 1 : lossWeight === 'sample' ? 1 / learnt.length : 1 / Math.sqrt(learnt.length)
  const tokens = Int32Array.from([...prompt, ...learnt])
  return { tokens, tokenWeights: new Float32Array(tokens.length).fill(weight, prompt.length) }
}

function ownAnswer({ steps, answer, reply }: TrainSample): TrainAnswer {
  if (reply !== undefined) return { reply }
  if (answer === undefined) throw invalidArgument(`an answer is needed to train a policy`)
  return { steps, answer }
}

/** Prompt and solution as one sequence; the solution's tokens and the end of the turn are learnt, the prompt is not. */
export function policyRow(sample: TrainSample, imageRows: readonly number[], context: RowContext): TrainRow {
  const row = answeredRow(askedIds(sample, imageRows, context), ownAnswer(sample), imageRows, context)
  return { sample, ...row, ...UNMARKED, weight: sum(row.tokenWeights) }
}

/** One prompt with two answers, the preferred one first. */
export function pairRow(sample: TrainSample, imageRows: readonly number[], context: RowContext): TrainRow {
  if (!sample.rejected) throw invalidArgument(`a pair needs an answer that is rejected`)
  const prompt = askedIds(sample, imageRows, context)
  const chosen = answeredRow(prompt, ownAnswer(sample), imageRows, context)
  const rejected = answeredRow(prompt, sample.rejected, imageRows, context)
  return { sample, ...chosen, rejected, ...UNMARKED, weight: 1 }
}

/** The prompt under which the result is used, with a marker for every step. */
function prmPrompt(sample: TrainSample, imageRows: readonly number[], context: RowContext) {
  const { tokenizer, template, systemMessage, ownChat, family } = context
  const request = { question: sample.question, steps: sample.steps, imageRows }
  if (family) return family.prompt(tokenizer, request)
  return PRM_TEMPLATES[template as PrmTemplate](tokenizer, { ...request, ownChat, ...(systemMessage && { systemMessage }) })
}

/** A sample of siblings is a row for each of them, behind the steps that they share. */
export function prmRow(sample: TrainSample, imageRows: readonly number[], context: RowContext): TrainRow {
  const { siblings } = sample
  if (!siblings) return pathRow(sample, imageRows, context)
  if (siblings.length < 2) throw invalidArgument(`${siblings.length} siblings: there is nothing to rank`)
  const { siblings: _, ...shared } = sample
  const rows = siblings.map(({ step, label }) => {
    const steps = [...sample.steps, step]
    return pathRow(
      { ...shared, steps, labels: steps.map((_, i) => (i < sample.steps.length ? null : label)) },
      imageRows,
      context,
    )
  })
  const joined = (part: (row: TrainRow) => Float32Array) => Float32Array.from(rows.flatMap((row) => [...part(row)]))
  const [labels, markerWeights] = [joined((row) => row.labels), joined((row) => row.markerWeights)]
  const { tokens } = rows.reduce((longest, row) => (row.tokens.length > longest.tokens.length ? row : longest))
  const markers = Int32Array.from(rows.flatMap((row) => [...row.markers]))
  return {
    sample,
    tokens,
    tokenWeights: EMPTY_FLOATS,
    markers,
    labels,
    markerWeights,
    weight: sum(markerWeights),
    siblings: rows,
  }
}

/** One marker behind every step; a step whose label is null has weight 0. */
function pathRow(sample: TrainSample, imageRows: readonly number[], context: RowContext): TrainRow {
  const { labels, weights } = checkLabels(sample)
  const prompt = prmPrompt(sample, imageRows, context)
  const markerWeights = Float32Array.from(labels, (label, i) => (label === null ? 0 : (weights[i] as number)))
  return {
    sample,
    tokens: Int32Array.from(prompt.ids),
    tokenWeights: EMPTY_FLOATS,
    markers: Int32Array.from(prompt.markers),
    labels: Float32Array.from(labels, (label) => label ?? 0),
    markerWeights,
    weight: sum(markerWeights),
  }
}

function checkLabels(sample: TrainSample) {
  const { steps, labels } = sample
  const weights = sample.weights ?? steps.map(() => 1)
  if (labels?.length !== steps.length || weights.length !== steps.length) {
    throw invalidArgument(
      `${steps.length} steps, ${labels?.length ?? 0} labels and ${weights.length} weights: one of each per step is needed`,
    )
  }
  labels.forEach((label, i) => {
    if (label !== null && !(label >= 0 && label <= 1)) {
      throw invalidArgument(`label ${i} is ${label}; a probability between 0 and 1 is expected`)
    }
  })
  return { labels, weights }
}

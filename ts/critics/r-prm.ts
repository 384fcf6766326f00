/** R-PRM: a step is analysed in words, and the judgement is the next token behind a fixed question; every step alone. */
import type { CriticMessage } from '../contracts/critic.ts'
import { type CriticForm, type Judged, shareOfFirst } from './form.ts'

/** The words that the published models were trained with, blanks included. */
const INSTRUCTION = [
  'You are an excellent math teacher. Please verify the correctness of the Now Step.',
  '',
  'You first need to analyze the Now Step and the Previous Steps and then summarize based on your analysis.',
  'Analysis:',
  'You need to analyze the following aspects.',
  '**Previous Steps Analysis**: You need to analyze the Previous Steps step by step. For each step, you need to first explain what the current step is doing, then you try to find any error in the current step.',
  '**Now Step Analysis**: You first need to explain what the Now Step is doing, and then point out which part of the Question it is trying to solve or which part of the information it states.',
  '**Data Source Analysis**: First you need to find out what data are used in the Now Step, and then you need to determine whether the source of the data is reasonable and correct. When you judge whether the source of a data is reasonable and correct, you need to specify the specific source of this data: such as which part of the question, or which content of the previous step; and then determine the source and current use is consistent, the Now Step is used correctly.',
  '**Consistency Analysis**: You need to check that the Now Step is consistent with the contents of the Previous Steps, and then you need to check that all the information inside the Now Step is consistent.',
  '**Calculation Analysis**: If the Now Step involves any calculations, such as addition, subtraction, multiplication, division, equations, modulo operations, etc., you will first need to perform a check on the calculation, such as a reverse operation, to see if the calculation was done correctly, and then analyze the results of your check to see if there was an error in the calculation.',
  'Conclusion: ',
  'Please verify the correctness of the Now Step based on your analysis, if there is any error in the Now Step then the Now Step is wrong and vice versa the Now Step is correct. At the end of the Conclusion, when you give your final answer, write it in the form "Verification: Is the step correct (Yes/No)? X", where X is either Yes or No.',
].join('\n')

const FIRST_STEP = 'Since the Now Step is the first step, there are no Previous Steps.'
export const ASKED = 'Is the step correct (Yes/No)?'

export function rPrmPrompt({ question, steps }: Pick<Judged, 'question' | 'steps'>, step: number): string {
  const before = step === 0 ? FIRST_STEP : steps.slice(0, step).join('\n')
  return [
    `${INSTRUCTION}\n`,
    `Question: ${question}`,
    `Previous Steps: ${before}`,
    `Now Step: ${steps[step]}`,
    'Please carefully analyze the correctness of the Now Step.',
    'Reply: ',
  ].join('\n')
}

/** The conversation in which a step is asked about. */
export const rPrmMessages = (judged: Pick<Judged, 'question' | 'steps'>, step: number): CriticMessage[] => [
  { role: 'system', content: 'You are a helpful assistant.' },
  { role: 'user', content: rPrmPrompt(judged, step) },
]

export const rPrm: CriticForm = {
  name: 'r-prm',
  showsPictures: false,
  defaults: { judgements: 10, temperature: 0.95, topP: 0.95, topK: 0, maxTokens: 3072 },
  async judge(judged, { critic, sampling, sample, signal }) {
    const read = await Promise.all(
      judged.steps.map(async (_, step) => {
        const messages = rPrmMessages(judged, step)
        const analysis = await critic.write({ messages, sampling, sample }, signal)
        const end = analysis.lastIndexOf(ASKED)
        if (end < 0) return { share: null, analysis }
        const reply = { role: 'assistant' as const, content: analysis.slice(0, end + ASKED.length) }
        const told = await critic.choose({ messages: [...messages, reply], choices: [' Yes', ' No'] }, signal)
        return { share: shareOfFirst(told), analysis }
      }),
    )
    return { steps: read.map(({ share }) => share), words: read.map(({ analysis }) => analysis).join('\n\n') }
  },
}

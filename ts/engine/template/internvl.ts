/**
 * The named templates of InternVL2.5 and MM-PRM (its `conversation.py`, `preprocess_internvl2_5` and `prm()`):
 * turns between <|im_start|> and <|im_end|>, images as a run of context tokens.
 */
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { TemplateVariables } from './chat.ts'
import { placePictures } from './pictures.ts'
import { PromptText } from './prompt-text.ts'

export const INTERNVL_SYSTEM_MESSAGE =
  '你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。'

export const MARKER = '<prm>'

export interface ImagePrompt {
  question: string
  /** Rows that each picture has in the language model, in order; see pictures.ts for where they stand. */
  imageRows: readonly number[]
  systemMessage?: string | undefined
  /** Whether the folder's own chat template is what the model was trained with, not InternVL's named one. */
  ownChat?: boolean | undefined
  /** For the folder's own chat template: `enable_thinking` and the like. */
  templateVariables?: TemplateVariables | undefined
}

export interface StepsPrompt extends ImagePrompt {
  steps: readonly string[]
}

export interface MarkedPrompt {
  ids: number[]
  /** Positions of the markers, one per step. */
  markers: number[]
}

const turn = (role: string, message: string) => `<|im_start|>${role}\n${message}<|im_end|>\n`
const system = (message: string | undefined) => turn('system', message ?? INTERNVL_SYSTEM_MESSAGE)
/** What stands in a prompt for a picture. */
export const pictureTokens = (rows: number) => `<img>${'<IMG_CONTEXT>'.repeat(rows)}</img>`

const tokensOf = (p: ImagePrompt) => [
  '<|im_start|>',
  '<|im_end|>',
  ...(p.imageRows.length > 0 ? ['<img>', '<IMG_CONTEXT>', '</img>'] : []),
]

function marked(tokenizer: Tokenizer, ids: number[]): MarkedPrompt {
  const marker = tokenizer.pieceId(MARKER)
  return { ids, markers: ids.flatMap((id, i) => (id === marker ? [i] : [])) }
}

function markedQuestion(p: StepsPrompt, text: PromptText): string {
  const asked = placePictures(p.question, p.imageRows.map(pictureTokens), text.user)
  return `${asked.lead}Question: ${asked.text}`
}

/** `internvl2_5-prm-score`: the user turn left open, as the reference's own scoring code writes it. */
export function prmScorePrompt(tokenizer: Tokenizer, p: StepsPrompt): MarkedPrompt {
  const text = new PromptText(tokenizer, [p.question, ...p.steps, p.systemMessage ?? ''])
  text.require(...tokensOf(p), MARKER)
  const process = p.steps.map((step) => text.user(step) + MARKER).join('')
  const value = `${markedQuestion(p, text)}\nProcess: ${process}`
  const prompt = `${system(p.systemMessage && text.user(p.systemMessage))}<|im_start|>user\n${turn('assistant', value)}`
  return marked(tokenizer, [...tokenizer.prefixIds, ...text.encode(prompt)])
}

/** `internvl2_5-prm-train`: the user turn closed, a blank line between steps, the three turns tokenised apart. */
export function prmTrainPrompt(tokenizer: Tokenizer, p: StepsPrompt): MarkedPrompt {
  const text = new PromptText(tokenizer, [p.question, ...p.steps, p.systemMessage ?? ''])
  text.require(...tokensOf(p), MARKER)
  const process = p.steps.map((step) => text.user(step) + MARKER).join('\n\n')
  const value = `${markedQuestion(p, text)}\nProcess: ${process}`
  const turns = [system(p.systemMessage && text.user(p.systemMessage)), turn('user', ''), turn('assistant', value)]
  const ids = turns.flatMap((t, i) => [
    ...(i === 0 || tokenizer.prefixEverySegment ? tokenizer.prefixIds : []),
    ...text.encode(t),
  ])
  return marked(tokenizer, ids)
}

/** `internvl2_5`: one question, the assistant's turn open. `answer`: how that turn begins. */
export function chatPrompt(tokenizer: Tokenizer, p: ImagePrompt & { answer?: string }): number[] {
  const text = new PromptText(tokenizer, [p.question, p.answer ?? '', p.systemMessage ?? ''])
  text.require(...tokensOf(p))
  const asked = placePictures(p.question, p.imageRows.map(pictureTokens), text.user)
  const user = turn('user', asked.lead + asked.text)
  const prompt = `${system(p.systemMessage && text.user(p.systemMessage))}${user}<|im_start|>assistant\n${text.user(p.answer ?? '')}`
  return [...tokenizer.prefixIds, ...text.encode(prompt)]
}

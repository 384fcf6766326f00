/**
 * Data for judges in words (R-PRM, arXiv 2503.21295): a teacher analyses steps whose labels are known. Analyses that come to the
 * label are to be imitated, and preferred to those that do not.
 */
import type { Critic, CriticMessage } from '../contracts/critic.ts'
import { hash32 } from '../contracts/random.ts'
import { ASKED, rPrm, rPrmMessages } from './r-prm.ts'

/** A step whose label is known. */
export interface TaughtStep {
  /** Unique among the steps of a data set. */
  readonly id: string
  readonly question: string
  /** All of the solution's steps; those behind `step` are not shown. */
  readonly steps: readonly string[]
  readonly step: number
  readonly isRight: boolean
}

/** What a teacher wrote about a step. */
export interface Analyses {
  readonly agreeing: readonly string[]
  readonly disagreeing: readonly string[]
  /** Without a judgement that can be read: for nothing. */
  readonly unread: number
}

/** The judgement that an analysis ends with; undefined where it has none. */
export function readConclusion(text: string): boolean | undefined {
  const end = text.lastIndexOf(ASKED)
  const word = end < 0 ? undefined : /^[\s*]*(yes|no)\b/i.exec(text.slice(end + ASKED.length))?.[1]
  return word === undefined ? undefined : word.toLowerCase() === 'yes'
}

export interface TeachOptions {
  /** Analyses of each step. */
  readonly n: number
  readonly seed: number
  readonly maxTokens?: number | undefined
}

/** @throws EngineError POLICY, ABORTED as the critic */
export async function analyse(
  critic: Critic,
  taught: TaughtStep,
  options: TeachOptions,
  signal?: AbortSignal,
): Promise<Analyses> {
  const { judgements: _, ...usual } = rPrm.defaults
  const sampling = { ...usual, maxTokens: options.maxTokens ?? usual.maxTokens, seed: options.seed }
  const request = { messages: rPrmMessages(taught, taught.step), sampling }
  const samples = Array.from({ length: options.n }, (_, sample) => critic.write({ ...request, sample }, signal))
  const texts = [...new Set(await Promise.all(samples))].map((text) => ({ text, says: readConclusion(text) }))
  const saying = (says: boolean) => texts.filter((each) => each.says === says).map(({ text }) => text)
  const unread = texts.filter(({ says }) => says === undefined).length
  return { agreeing: saying(taught.isRight), disagreeing: saying(!taught.isRight), unread }
}

/** To be imitated: a conversation that ends in the analysis. */
export interface ImitationRow {
  readonly id: string
  readonly messages: readonly CriticMessage[]
}

/** One analysis to be preferred to another, as preference trainers read it. */
export interface PreferenceRow {
  readonly id: string
  readonly prompt: readonly CriticMessage[]
  readonly chosen: readonly CriticMessage[]
  readonly rejected: readonly CriticMessage[]
}

const said = (content: string): CriticMessage[] => [{ role: 'assistant', content }]

export function imitationRows(taught: TaughtStep, { agreeing }: Analyses): ImitationRow[] {
  const messages = rPrmMessages(taught, taught.step)
  return agreeing.map((text, i) => ({ id: `${taught.id}/${i}`, messages: [...messages, ...said(text)] }))
}

/** As many pairs as there are analyses of both kinds; each is used once. */
export function preferenceRows(taught: TaughtStep, { agreeing, disagreeing }: Analyses): PreferenceRow[] {
  const prompt = rPrmMessages(taught, taught.step)
  return agreeing.slice(0, disagreeing.length).map((text, i) => {
    return { id: `${taught.id}/${i}`, prompt, chosen: said(text), rejected: said(disagreeing[i] as string) }
  })
}

/** As many rows about right steps as about wrong ones, in their order: who goes is drawn by the seed. */
export function balanced<T extends { readonly id: string }>(rows: readonly (T & { isRight: boolean })[], seed: number): T[] {
  const by = (isRight: boolean) => rows.filter((row) => row.isRight === isRight)
  const most = Math.min(by(true).length, by(false).length)
  const lot = ({ id }: T) => hash32(`${seed}\n${id}`)
  const drawn = (list: typeof rows) => [...list].sort((a, b) => lot(a) - lot(b)).slice(0, most)
  const kept = new Set([...drawn(by(true)), ...drawn(by(false))])
  return rows.filter((row) => kept.has(row)).map(({ isRight: _, ...row }) => row as unknown as T)
}

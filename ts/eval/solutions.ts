/** Solutions of a set's problems: sampled from a policy, or read from a file; durable per problem. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { EngineError, invalidArgument } from '../contracts/errors.ts'
import { type Outcome, type Policy, type Rollout, rolloutIdentity } from '../contracts/policy.ts'
import type { Problem } from '../contracts/problem.ts'
import { renderSteps } from '../contracts/rollout-text.ts'
import { streamsOf } from '../contracts/streams.ts'
import type { AnswerItem } from './answer-task.ts'
import { forEachLimited } from './limited.ts'
import { type LineHead, LineStore } from './line-store.ts'

export interface Solution {
  readonly outcome: Outcome
  readonly steps: readonly string[]
  /** The raw text, where it is not what the steps' blocks say. */
  readonly text?: string
  readonly tokens?: number
}

/**
 * `row`: its hash, where `hash` is of the policy and the seed too. `from`: index of the first sample; a problem has several
 * lines where more were asked for later.
 */
export type SolutionLine = LineHead & { row: string; from: number } & ({ solutions: Solution[] } | { error: string })

/** What stays in memory of a line. */
export interface SolutionCount {
  readonly row: string
  readonly count: number
  readonly error?: string
}
const countOf = (line: SolutionLine): SolutionCount =>
  'error' in line ? { row: line.row, count: 0, error: line.error } : { row: line.row, count: line.solutions.length }
export type SolutionStore = LineStore<SolutionLine, SolutionCount>

export const SOLUTIONS_FILE = 'solutions.jsonl'
/** Those that lie in a task's folder. @throws EngineError STORE */
export const openSolutions = (folder: string): Promise<SolutionStore> => LineStore.open(join(folder, SOLUTIONS_FILE), countOf)

const asBlocks = (steps: readonly string[]) => `${renderSteps(steps.slice(0, -1))}<answer>${steps.at(-1) ?? ''}</answer>`

/** A solution as its policy wrote it. */
export const textOf = ({ text, steps }: Solution) => text ?? asBlocks(steps)

export function toSolution({ outcome, steps, text, numTokens }: Rollout): Solution {
  const isPlain = outcome === 'complete' && text === asBlocks(steps)
  return { outcome, steps, ...(isPlain ? {} : { text }), ...(numTokens !== undefined && { tokens: numTokens }) }
}

/** The first `n` solutions of a problem, or why there are none. */
export async function readSolutions(store: SolutionStore, id: string, n: number): Promise<Solution[] | { error: string }> {
  const lines = await store.read(id)
  const error = lines.find((line) => 'error' in line)
  if (error) return { error: (error as { error: string }).error }
  return lines.flatMap((line) => ('solutions' in line ? line.solutions : [])).slice(0, n)
}

const sha256 = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex')

/** Refused because of the problem itself; what is the server's or the machine's fault is thrown on. */
export const isProblems = (error: unknown): error is EngineError =>
  error instanceof EngineError && error.code === 'ERR_ENGINE_INVALID_ARGUMENT'

export interface SampleOptions {
  items: readonly AnswerItem[]
  /** Of each item's row. */
  hashes: readonly string[]
  policy: Policy
  n: number
  /** As a search's: the same seed gives the solutions that its strategy `best-of-n` gives. */
  seed: number
  /** Problems in work at once. */
  inFlight: number
  signal?: AbortSignal | undefined
  onProgress?: ((done: number) => void) | undefined
}

const countSolutions = (kept: readonly SolutionCount[]) => kept.reduce((sum, { count }) => sum + count, 0)

/** What was refused holds nothing that could be lost: it is tried again. @throws EngineError INVALID_ARGUMENT: `id` was made from something else */
export function checkSame(store: SolutionStore, id: string, hash: string, by: string): void {
  if (store.hashOf(id) === hash || countSolutions(store.kept(id)) === 0) return
  throw invalidArgument(`${store.path}: "${id}" was made from another row, or by another ${by}; name another folder`)
}

/** @throws EngineError INVALID_ARGUMENT: a problem's solutions are of another row */
export function checkRows(store: SolutionStore, items: readonly AnswerItem[], hashes: readonly string[]): void {
  for (const [i, { problem }] of items.entries()) {
    const other = store.kept(problem.id).find(({ row, count }) => count > 0 && row !== hashes[i])
    if (other) throw invalidArgument(`${store.path}: "${problem.id}" was made from another row; --data names where its files lie`)
  }
}

/** The hash of what each item's solutions are made from. @throws EngineError INVALID_ARGUMENT: stored ones are of other rows, seed or policy */
function hashesOf(store: SolutionStore, { items, hashes, policy, seed }: SampledBy): string[] {
  const identity = rolloutIdentity(policy.identity)
  const all = hashes.map((row) => sha256([row, identity, seed]))
  for (const [i, { problem }] of items.entries()) checkSame(store, problem.id, all[i] as string, 'policy, sampling or seed')
  return all
}

type SampledBy = Pick<SampleOptions, 'items' | 'hashes' | 'policy' | 'seed' | 'n'>

/** How many solutions of a problem are there; undefined where it was refused. @param hash of what they are to be made from */
function haveOf(store: SolutionStore, id: string, hash: string): number | undefined {
  const kept = store.hashOf(id) === hash ? store.kept(id) : []
  return kept.some(({ error }) => error !== undefined) ? undefined : countSolutions(kept)
}

/** Problems of which solutions are missing. */
export function missingOf(store: SolutionStore, sampled: SampledBy): AnswerItem[] {
  const hashes = hashesOf(store, sampled)
  return sampled.items.filter(
    ({ problem, refused }, i) =>
      refused === undefined && (haveOf(store, problem.id, hashes[i] as string) ?? sampled.n) < sampled.n,
  )
}

/** What the same policy has sampled elsewhere: `n` rollouts of a problem from the first one on, or why there are none. */
export async function enterSampled(
  store: SolutionStore,
  sampled: SampledBy,
  made: AsyncIterable<{ id: string } & ({ rollouts: readonly Rollout[] } | { error: string })>,
): Promise<void> {
  const hashes = hashesOf(store, sampled)
  const indexOf = new Map(sampled.items.map(({ problem }, i) => [problem.id, i]))
  for await (const one of made) {
    const index = indexOf.get(one.id)
    if (index === undefined) continue
    const [hash, row] = [hashes[index] as string, sampled.hashes[index] as string]
    const have = haveOf(store, one.id, hash)
    if (have === undefined || have >= sampled.n) continue
    const head = { id: one.id, hash, row, from: have }
    const solutions = 'rollouts' in one ? one.rollouts.slice(have, sampled.n).map(toSolution) : []
    await store.append('error' in one ? { ...head, error: one.error } : { ...head, solutions })
  }
}

/**
 * Samples what is missing of `n` solutions for each problem. A problem that the policy refuses keeps its reason.
 * @throws EngineError POLICY, ABORTED, STORE; INVALID_ARGUMENT where what is stored is of other rows, seed or policy
 */
export async function sampleSolutions(store: SolutionStore, o: SampleOptions): Promise<void> {
  const hashes = hashesOf(store, o)
  let done = 0
  await forEachLimited(o.items.entries(), o.inFlight, async ([i, { problem, refused }]) => {
    const [hash, row] = [hashes[i] as string, o.hashes[i] as string]
    const have = refused === undefined ? (haveOf(store, problem.id, hash) ?? o.n) : o.n
    if (have < o.n) {
      await store.append({ id: problem.id, hash, row, from: have, ...(await sampled(problem, have, o)) })
    }
    o.onProgress?.(++done)
  })
}

async function sampled(problem: Problem, from: number, { policy, n, seed, signal }: SampleOptions) {
  try {
    const request = { problem, prefix: [], seed: streamsOf(seed, problem.id)([]), from, count: n - from }
    const [rollouts = []] = await policy.rollouts([request], signal)
    return { solutions: rollouts.map(toSolution) }
  } catch (error) {
    if (isProblems(error)) return { error: error.message }
    throw error
  }
}

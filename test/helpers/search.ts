/** What tests of the search have in common. */
import type { SearchEvent } from '../../ts/contracts/events.ts'
import type { Policy } from '../../ts/contracts/policy.ts'
import type { Problem } from '../../ts/contracts/problem.ts'
import type { ProblemTree, TreeNode } from '../../ts/contracts/records.ts'
import type { KnownWork, RunIdentity } from '../../ts/contracts/run-store.ts'
import { streamsOf } from '../../ts/contracts/streams.ts'
import { scriptedPolicy } from '../../ts/policy/scripted.ts'
import { type OmegaOptions, omega, omegaOptions } from '../../ts/search/strategies/omega.ts'
import { simulate, simulatedVerifier } from './simulated-policy.ts'

export const UNLIMITED = { maxRollouts: 1e9, maxTokens: 1e12 }
export const NOTHING_KNOWN: KnownWork = { evaluations: [], verdicts: [] }

export function runIdentity(policy: Policy, changes: Partial<RunIdentity> = {}): RunIdentity {
  return {
    seed: 7,
    strategy: 'omega',
    options: omegaOptions.parse({}),
    budget: UNLIMITED,
    policy: policy.identity,
    verifier: simulatedVerifier.name,
    scorer: null,
    ...changes,
  }
}

export interface OmegaRun {
  events: SearchEvent[]
  tree: ProblemTree
  finished: Extract<SearchEvent, { type: 'finished' }>
}

/** Runs `omega` over one problem with the simulated policy. */
export async function runOmega(
  problem: Problem,
  options: Partial<OmegaOptions>,
  more: { policy?: Policy; maxRollouts?: number; seed?: number; known?: KnownWork; signal?: AbortSignal } = {},
): Promise<OmegaRun> {
  const context = {
    problem,
    policy: more.policy ?? scriptedPolicy(simulate),
    verifier: simulatedVerifier,
    rng: streamsOf(more.seed ?? 7, problem.id),
    budget: { ...UNLIMITED, ...(more.maxRollouts && { maxRollouts: more.maxRollouts }) },
    known: more.known ?? NOTHING_KNOWN,
    ...(more.signal && { signal: more.signal }),
  }
  const events: SearchEvent[] = []
  for await (const event of omega.run(context, omegaOptions.parse(options))) events.push(event)
  const finished = events.at(-1)
  if (finished?.type !== 'finished' || !finished.tree) throw new Error('the search did not finish with a tree')
  return { events, finished, tree: finished.tree }
}

/** Every node with its prefix, in preorder. */
export function* walk(node: TreeNode, before: readonly string[] = []): Generator<{ node: TreeNode; prefix: readonly string[] }> {
  const prefix = [...before, ...node.steps]
  yield { node, prefix }
  for (const child of node.children) yield* walk(child, prefix)
}

/** Runs of the package's searches, each in a folder that an interrupted call goes on from, and what was found in them. */
import { groupBy } from '../../ts/eval/group.ts'
import {
  type CandidateRecord,
  type Policy,
  type Problem,
  type StepScorer,
  search as searching,
  select,
  store as stores,
  type Verifier,
} from '../../ts/index.ts'
import { type Cost, readInOneCall, type StepTokens } from './cost.ts'
import { at } from './plan.ts'
import { say } from './say.ts'

export interface RunSpec {
  /** Folder below that of all runs. */
  readonly name: string
  readonly policy: Policy & { readonly inFlight?: number }
  readonly scorer?: StepScorer
  readonly verifier: Verifier
  readonly problems: readonly Problem[]
  readonly strategy: string
  readonly options: Record<string, unknown>
  readonly seed: number
  /** Of each problem; none where absent. */
  readonly maxRollouts?: number
}

export interface Found {
  readonly problem: Problem
  readonly candidates: readonly CandidateRecord[]
  /** Tokens of this problem. */
  readonly cost: Cost
}

export interface FoundRun {
  readonly problems: readonly Found[]
}

const IN_FLIGHT = 8

/** @returns the folder of the run, finished */
export async function searched(spec: RunSpec): Promise<string> {
  const { name, policy, scorer, verifier, problems, seed } = spec
  const strategy = searching.findStrategy(spec.strategy)
  const settings = {
    ...{ strategy, options: strategy.options.parse(spec.options), seed, policy, verifier },
    budget: { maxRollouts: spec.maxRollouts ?? Number.MAX_SAFE_INTEGER, maxTokens: Number.MAX_SAFE_INTEGER },
    ...(scorer && { scorer }),
  }
  const folder = at('runs', name)
  const store = stores.SqliteRunStore.open({ folder, identity: searching.identityOf(settings), resume: true })
  try {
    const progress = await searching.runSearch({
      ...{ ...settings, problems, store, inFlight: policy.inFlight ?? IN_FLIGHT },
      onProgress: ({ done, skipped }) => say(`${name}: ${done + skipped} of ${problems.length}`, 20),
    })
    if (progress.failed > 0) throw new Error(`${folder}: ${progress.failed} problems were left unfinished`)
  } finally {
    await store.close()
  }
  return folder
}

/** Candidates of a run, and what they cost; those of other problems than these are left out. */
export async function found(folder: string, problems: readonly Problem[], tokens: StepTokens): Promise<FoundRun> {
  const reader = stores.openRun(folder)
  try {
    const wanted = new Set(problems.map(({ id }) => id))
    const scored = new Map<string, number>()
    for await (const { problem, siblings } of reader.siblings()) {
      const depths = groupBy(siblings, ({ prefix }) => String(prefix.length))
      const calls = [...depths.values()].map((groups) => groups.flatMap((g) => g.steps.map((step) => [...g.prefix, step])))
      scored.set(
        problem.id,
        calls.reduce((sum, solutions) => sum + readInOneCall(solutions, tokens), 0),
      )
    }
    const list: Found[] = []
    for await (const { problem, candidates, tokens: generated } of reader.candidates()) {
      if (!wanted.has(problem.id)) continue
      const whole = candidates.filter((c) => c.scores).map((c) => c.steps)
      list.push({ problem, candidates, cost: { generated, scored: scored.get(problem.id) ?? readInOneCall(whole, tokens) } })
    }
    return { problems: list }
  } finally {
    reader.close()
  }
}

/** How often a right solution is worth more than a wrong one of its problem, as pairs of all problems; ties count half. */
export function rightAboveWrong({ problems }: FoundRun, choice: string): number {
  let [won, pairs] = [0, 0]
  for (const { candidates } of problems) {
    const worth = (isRight: boolean) =>
      candidates.flatMap((c) => (c.correct === isRight && c.scores ? [select.aggregate(c.scores, choice) ?? 0] : []))
    for (const right of worth(true)) {
      for (const wrong of worth(false)) {
        pairs++
        won += right > wrong ? 1 : right === wrong ? 0.5 : 0
      }
    }
  }
  return pairs === 0 ? 0.5 : won / pairs
}

/** Solutions of an evaluation that the workers of a database make (mm-prm worker), as they would be made here. */
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from '../contracts/abort.ts'
import { storeError } from '../contracts/errors.ts'
import { enterSampled, missingOf, openSolutions } from '../eval/index.ts'
import { identityOf } from '../search/runner.ts'
import type { Runs } from '../store/postgres/index.ts'
import { openRun } from '../store/reader.ts'
import { type AnswerWork, checkTemplate, policyName } from './eval-answers.ts'
import type { Costs } from './eval-costs.ts'
import type { EvalSettings, EvalValues } from './eval-options.ts'
import { POLICY_OPTIONS } from './policy-options.ts'
import { Progress } from './progress.ts'
import { openSettings, runValues } from './run-settings.ts'
import type { SearchValues } from './search.ts'
import { readStore, withRuns } from './store-options.ts'
import { withPictures } from './submit.ts'

const LOOK_MS = 1000

/** A search for solutions alone, with the policy's options of this command. */
function searchValues(values: EvalValues, { n, seed }: EvalSettings): SearchValues {
  const names = Object.keys(POLICY_OPTIONS) as (keyof typeof POLICY_OPTIONS)[]
  const asked = Object.fromEntries(names.map((name) => [name, values[name]]).filter(([, value]) => value !== undefined))
  return { ...asked, strategy: 'solutions', set: [`n=${n}`], seed: String(seed) } as SearchValues
}

/** Until workers have left nothing of a run. @throws EngineError STORE: it was cancelled; ABORTED */
async function waitFor(runs: Runs, run: string, name: string, signal: AbortSignal): Promise<void> {
  const progress = new Progress(name)
  for (;;) {
    throwIfAborted(signal, 'the evaluation')
    const [status] = await runs.status(run)
    if (!status || status.status === 'cancelled') throw storeError(`run ${run} was cancelled; mm-prm resume takes it up again`)
    if (status.left === 0) return progress.finish(`${status.problems} problems`)
    const paused = status.status === 'paused' ? ', paused' : ''
    const workers = Object.keys(status.workers).length
    progress.update(`${status.done} of ${status.problems} problems, ${workers} workers${paused}`, status.done / status.problems)
    await sleep(LOOK_MS, undefined, { signal }).catch(() => {})
  }
}

async function* madeIn(uri: `postgres://${string}`) {
  const reader = await openRun(uri)
  try {
    for await (const { problem, root } of reader.trees())
      yield { id: problem.id, rollouts: root.rollouts.map((rollout) => ({ ...rollout, text: rollout.text ?? '' })) }
    for (const { id, reason } of (await reader.summary()).failures) yield { id, error: reason }
  } finally {
    await reader.close()
  }
}

/** Submits what is missing of all tasks, waits for the workers, and enters what they have made. Resolves to the policy's name. */
export async function generateThere(
  works: readonly AnswerWork[],
  values: EvalValues,
  settings: EvalSettings,
  costs: Costs,
  signal: AbortSignal,
): Promise<string> {
  const { url } = readStore({ store: values.store })
  const search = searchValues(values, settings)
  return withRuns(url, async (runs) => {
    await using opened = await openSettings(search)
    const { policy } = opened.settings
    checkTemplate(policy)
    const sampled = { policy, n: settings.n, seed: settings.seed }
    const submitted: { work: AnswerWork; run: string }[] = []
    for (const work of works) {
      await using store = await openSolutions(work.out)
      const missing = missingOf(store, { ...work.set, ...sampled })
      if (missing.length === 0) continue
      const problems = await withPictures(missing.map(({ problem }) => problem))
      submitted.push({ work, run: await runs.submit(identityOf(opened.settings), runValues(search), problems) })
    }
    for (const { work, run } of submitted) {
      const { name } = work.set.task
      await costs.during(name, () => waitFor(runs, run, `${name}: solutions (run ${run})`, signal))
      await using store = await openSolutions(work.out)
      await enterSampled(store, { ...work.set, ...sampled }, madeIn(`${url}#${run}` as `postgres://${string}`))
    }
    return policyName(policy)
  })
}

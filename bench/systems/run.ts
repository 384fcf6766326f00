/**
 * Every related system end to end at small scale, beside plain Best-of-N and majority that cost as much. Goes on where an earlier
 * call was stopped; what is measured anew takes its place in bench/results/systems.json.
 *
 *   npm run bench:systems [-- NAME…]     pictures, taught, ranked, judged, code, sums, sql, active; default: all
 */
import type { kit } from '../../ts/index.ts'
import { actPrm } from './active.ts'
import type { Pool } from './compare.ts'
import { type StepTokens, stepTokens } from './cost.ts'
import { type Ground, guided, poolOf } from './guided.ts'
import { genPrm, rPrm, selfPrm, type Truths } from './judged.ts'
import { truthOfTask } from './judges.ts'
import { openPolicy, openPrm, pictures, rules, taughtPolicy } from './models.ts'
import { PLAN, POLICY, PRM, ROOT } from './plan.ts'
import { prmBas } from './ranked.ts'
import { type Comparison, writeComparisons } from './results.ts'
import { say } from './say.ts'
import { rewardSql } from './sql.ts'
import { genPrmOnSums } from './sums.ts'

const tokensOf = ({ engine }: kit.OpenedPolicy): StepTokens => {
  if (!engine) throw new Error('the policy lies in a folder')
  return stepTokens(engine)
}

/** A policy on pictures, with the shipped PRM. */
async function onPictures(
  name: string,
  policyName: string,
  model: string,
  work: (ground: Ground, policy: kit.OpenedPolicy, truths: Truths) => Promise<Comparison[]>,
  count: number = PLAN.pictures.problems,
): Promise<Comparison[]> {
  await using policy = await openPolicy(model)
  await using scorer = await openPrm(PRM)
  const tasks = await pictures(count)
  const problems = tasks.map(({ problem }) => problem)
  const truths: Truths = new Map(tasks.map((task) => [task.problem.id, truthOfTask(task)]))
  const judge = 'the shipped PRM'
  const ground = { name, policyName, judge, policy, scorer, verifier: rules, problems, tokens: tokensOf(policy) }
  return await work(ground, policy, truths)
}

async function onScripts(work: (tokens: StepTokens) => Promise<Comparison[]>): Promise<Comparison[]> {
  await using policy = await openPolicy(POLICY)
  return await work(tokensOf(policy))
}

const allGuided = async (ground: Ground) => guided(ground, await poolOf(ground))

/** What judges in words are asked about, beside a pool that the shipped PRM has scored. */
function onShipped(
  work: (ground: Ground, pool: Pool, truths: Truths, policy: kit.OpenedPolicy) => Promise<Comparison[]>,
): Promise<Comparison[]> {
  const { problems } = PLAN.judged
  const own = async (ground: Ground, policy: kit.OpenedPolicy, truths: Truths) =>
    work(ground, await poolOf(ground), truths, policy)
  return onPictures('pictures', 'shipped', POLICY, own, problems)
}

const STAGES: Record<string, () => Promise<Comparison[]>> = {
  pictures: () => onPictures('pictures', 'shipped', POLICY, allGuided),
  taught: async () => onPictures('taught', 'taught', await taughtPolicy(), allGuided),
  ranked: () => onScripts(prmBas),
  judged: () =>
    onShipped(async (ground, pool, truths, policy) => [
      ...(await rPrm(ground, pool, truths)),
      ...(await selfPrm(ground, pool, truths, policy)),
    ]),
  code: () => onShipped((ground, pool) => genPrm(ground, pool)),
  sums: () => onScripts(async (tokens) => [await genPrmOnSums(tokens)]),
  sql: () => onScripts(rewardSql),
  active: () => onScripts(actPrm),
}

process.chdir(ROOT)
const names = process.argv.slice(2)
for (const name of names) {
  if (!(name in STAGES)) throw new Error(`no stage "${name}"; known: ${Object.keys(STAGES).join(', ')}`)
}
for (const [name, stage] of Object.entries(STAGES)) {
  if (names.length > 0 && !names.includes(name)) continue
  say(name)
  const comparisons = await stage()
  writeComparisons(PLAN, { stages: Object.keys(STAGES), stage: name, now: comparisons })
  for (const { system, what, accuracy, gain } of comparisons)
    say(`${system}, ${what}: ${(100 * accuracy.value).toFixed(1)} %, ${(100 * gain.overBestOfN.value).toFixed(1)} over Best-of-N`)
}

/**
 * Every related system end to end at small scale, beside plain Best-of-N and majority that cost as much. Goes on where an earlier
 * call was stopped; what is measured anew takes its place in bench/results/systems.json.
 *
 *   npm run bench:systems [-- NAME…]     pictures, taught, sums, judged, sql, active; default: all
 */
import type { kit } from '../../ts/index.ts'
import { actPrm } from './active.ts'
import { type StepTokens, stepTokens } from './cost.ts'
import { type Ground, guided, poolOf } from './guided.ts'
import { genPrm, grouped, rPrm, selfPrm } from './judged.ts'
import { openPolicy, openPrm, pictures, rules, sums, sumsPolicy, sumsPrm, taughtPolicy, toProblem } from './models.ts'
import { PLAN, POLICY, PRM, ROOT } from './plan.ts'
import { type Comparison, writeComparisons } from './results.ts'
import { say } from './say.ts'
import { rewardSql } from './sql.ts'

const tokensOf = ({ engine }: kit.OpenedPolicy): StepTokens => {
  if (!engine) throw new Error('the policy lies in a folder')
  return stepTokens(engine)
}

/** The guided searches of a policy on pictures. */
async function onPictures(name: string, policyName: string, model: string): Promise<Comparison[]> {
  await using policy = await openPolicy(model)
  await using scorer = await openPrm(PRM)
  const problems = await pictures(PLAN.pictures.problems)
  const judge = 'the shipped PRM'
  const ground: Ground = { name, policyName, judge, policy, scorer, verifier: rules, problems, tokens: tokensOf(policy) }
  return await guided(ground, await poolOf(ground))
}

const SUMS_PRM = 'a PRM trained on its searches'

async function onSums(work: (ground: Ground, policy: kit.OpenedPolicy) => Promise<Comparison[]>): Promise<Comparison[]> {
  const prm = await sumsPrm()
  await using policy = await openPolicy(await sumsPolicy())
  await using scorer = await openPrm(prm)
  const problems = sums('test', PLAN.sums.problems).map(toProblem)
  const shared = { policy, scorer, verifier: rules, problems, tokens: tokensOf(policy) }
  return await work({ ...shared, name: 'sums', policyName: 'of sums', judge: SUMS_PRM }, policy)
}

const STAGES: Record<string, () => Promise<Comparison[]>> = {
  pictures: () => onPictures('pictures', 'shipped', POLICY),
  sums: () =>
    onSums(async (ground) => {
      const pool = await poolOf(ground)
      return [...(await guided(ground, pool)), await grouped(ground, pool)]
    }),
  judged: () =>
    onSums(async (ground, policy) => {
      const all = sums('test', PLAN.sums.problems)
      const pool = await poolOf(ground)
      return [...(await rPrm(ground, all)), ...(await selfPrm(ground, pool, all, policy)), ...(await genPrm(ground, pool))]
    }),
  sql: async () => {
    await using policy = await openPolicy(POLICY)
    return await rewardSql(tokensOf(policy))
  },
  taught: async () => onPictures('taught', 'taught', await taughtPolicy()),
  active: () => onSums(actPrm),
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
  writeComparisons(PLAN, comparisons)
  for (const { system, what, accuracy, gain } of comparisons)
    say(`${system}, ${what}: ${(100 * accuracy.value).toFixed(1)} %, ${(100 * gain.overBestOfN.value).toFixed(1)} over Best-of-N`)
}

/** Models that the systems are compared on beside the shipped ones, each trained here within minutes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TrainSample } from '../../ts/contracts/trainer.ts'
import { type Dataset, kit, type Problem, type TrainOptions, type TrainProgress, train, verify } from '../../ts/index.ts'
import { MINI_SAMPLING } from '../../ts/mini/policy.ts'
import { trainMiniPrm } from '../../ts/mini/prm.ts'
import { makeTasks, writtenSolutions } from '../../ts/mini/problems.ts'
import { miniDataset, readTrees } from '../../ts/mini/search.ts'
import { type Family, IN_DOMAIN, makeProblem } from '../../ts/tasks/index.ts'
import { type SumProblem, sumProblem, writtenSum } from '../../ts/tasks/sums.ts'
import { at, PLAN, POLICY } from './plan.ts'
import { searched } from './runs.ts'
import { say } from './say.ts'

/** WHY one: the machine is shared, and the bits are the same for any number. */
const CPU = { threads: 1 } as const

export const openPolicy = (model: string) => kit.openPolicy({ model, sampling: MINI_SAMPLING, cpu: CPU })
export const openPrm = (model: string) => kit.openScorer({ model, cpu: CPU })
export const rules = verify.ruleVerifier()

const told = (what: string) => (p: TrainProgress) =>
  say(`${what}: step ${p.step} of ${p.totalSteps}, loss ${p.loss.toFixed(3)}, ${p.samplesPerSecond.toFixed(0)} samples/s`, 20)

/** Of the policy's kind, in the settings of a short training. */
const POLICY_RECIPE = {
  ...{ batchSize: 16, warmupRatio: 0.1, weightDecay: 0.05, decay: 'matrices' as const, beta2: 0.98 },
  ...{ microBatchTokens: 8192, checkpointEvery: 50, seed: PLAN.seed, threads: CPU.threads, resume: true },
} as const

async function policyOf(name: string, data: Dataset, more: Pick<TrainOptions, 'learningRate' | 'freeze'>): Promise<string> {
  const out = at('models', name)
  if (!existsSync(join(out, 'model.safetensors')))
    await train({ ...POLICY_RECIPE, task: 'policy', init: POLICY, data, out, ...more, onProgress: told(name) })
  return out
}

/** Worked solutions as they should be: none goes the common wrong way. */
function workedSolutions(size: number): Dataset {
  const written = writtenSolutions(IN_DOMAIN, 'taught', size)
  return {
    ...written,
    fingerprint: `${written.fingerprint}, flawless`,
    async at(index) {
      const { steps, answer } = makeProblem(IN_DOMAIN[index % IN_DOMAIN.length] as Family, 'taught', index, { part: 'train' })
      return { ...(await written.at(index)), steps: steps.map(({ text }) => text), answer }
    },
  }
}

/** The shipped policy, shown flawless solutions: it reads pictures as badly and reasons better. */
export function taughtPolicy(): Promise<string> {
  const { samples, learningRate } = PLAN.taught
  return policyOf('taught', workedSolutions(samples), { learningRate, freeze: [] })
}

function writtenSums(size: number): Dataset {
  return {
    size,
    fingerprint: 'sums as written',
    at(index): TrainSample {
      const { id, question } = sumProblem('policy', index)
      return { id, group: id, question, ...writtenSum('policy', index) }
    },
  }
}

/** The shipped policy, trained on written sums, mistakes included. */
export function sumsPolicy(): Promise<string> {
  const { samples, learningRate } = PLAN.sumsPolicy
  return policyOf('sums', writtenSums(samples), { learningRate, freeze: ['vision', 'projector'] })
}

export const toProblem = ({ id, question, answer, level }: SumProblem): Problem => ({ id, question, answer, meta: { level } })

export function sums(seed: string, count: number): SumProblem[] {
  return Array.from({ length: count }, (_, i) => sumProblem(seed, i))
}

/** A PRM for sums: from their policy, on the labels of its own search, as the shipped one was made for pictures. */
export async function sumsPrm(name = 'sums-prm', more: { seed?: number; label?: 'soft' | 'grouped' } = {}): Promise<string> {
  const { seed = PLAN.seed, label = 'soft' } = more
  const out = at('models', name)
  if (existsSync(join(out, 'model.safetensors'))) return out
  const init = await sumsPolicy()
  const { problems, rollouts } = PLAN.sumsPrm
  await using policy = await openPolicy(init)
  const run = await searched({
    ...{ name: 'sums-labels', policy, verifier: rules, problems: sums('prm', problems).map(toProblem), seed: PLAN.seed },
    ...{ strategy: 'omega', options: { numRollouts: 8, maxDoublings: 1 }, maxRollouts: rollouts },
  })
  const data = at('data', name)
  await miniDataset(await readTrees(run), data, { seed: PLAN.seed, label })
  const recipe = { seed, batchSize: 16, threads: CPU.threads, microBatchTokens: 8192 }
  await trainMiniPrm({ init, data: join(data, 'train.jsonl'), out, recipe, onProgress: told(name) })
  return out
}

export async function pictures(count: number) {
  const tasks = await makeTasks(at('pictures'), IN_DOMAIN, 'test/systems', count, { part: 'test' })
  return tasks.map(({ problem }) => problem)
}

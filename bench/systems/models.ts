/** Models that the systems are compared on beside the shipped ones, each trained here within minutes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type Dataset, kit, type TrainOptions, type TrainProgress, train, verify } from '../../ts/index.ts'
import { MINI_SAMPLING } from '../../ts/mini/policy.ts'
import { makeTasks, writtenSolutions } from '../../ts/mini/problems.ts'
import { type Family, IN_DOMAIN, makeProblem, type Part } from '../../ts/tasks/index.ts'
import { at, PLAN, POLICY } from './plan.ts'
import { say } from './say.ts'

/** WHY one: the machine is shared, and the bits are the same for any number. */
const CPU = { threads: 1 } as const

export const openPolicy = (model: string) => kit.openPolicy({ model, sampling: MINI_SAMPLING, cpu: CPU })
export const openPrm = (model: string) => kit.openScorer({ model, cpu: CPU })
export const rules = verify.ruleVerifier()

export const told = (what: string) => (p: TrainProgress) =>
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

/** @param part of the pictures: the shipped models have seen `train` */
export function pictures(count: number, name = 'test', part: Part = 'test') {
  return makeTasks(at('pictures'), IN_DOMAIN, `${name}/systems`, count, { part })
}

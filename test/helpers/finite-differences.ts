/** Gradients of a whole model by finite differences of its loss, tensor by tensor, in fp32. */
import * as assert from 'uvu/assert'
import { seededRandom } from '../../ts/contracts/random.ts'
import type { NativeTrainBatch, NativeTrainer } from '../../ts/engine/native.ts'

/** One rounding of the loss is 2^-24 of it; its terms carry those of every layer below. */
const NOISE = 2 ** -21

const norm = (values: ArrayLike<number>) => Math.sqrt(Array.from(values).reduce((sum, v) => sum + v * v, 0))

/** Half along the gradient, so that there is a slope to see, half at random, so that a wrong direction shows. */
function direction(gradient: Float32Array, seed: string): Float32Array {
  const random = seededRandom(seed)
  const aside = Float32Array.from(gradient, () => random() - 0.5)
  const [g, a] = [norm(gradient), norm(aside)]
  return gradient.map((v, i) => v / g + (aside[i] as number) / a)
}

async function checkTensor(trainer: NativeTrainer, name: string, data: NativeTrainBatch, gradient: Float32Array, loss: number) {
  const at = await trainer.tensor(name, 'value')
  const along = direction(gradient, name)
  const size = norm(gradient)
  // A step that moves the loss by about 3 in 1000, but no weight by more than a few percent of their size.
  const h = Math.min((0.003 * loss) / size, (0.02 * norm(at)) / norm(along) || Number.POSITIVE_INFINITY)
  const losses = new Map<number, number>()
  for (const k of [1, -1, 2, -2, 4, -4]) {
    await trainer.setTensor(
      name,
      at.map((v, i) => v + k * h * (along[i] as number)),
    )
    losses.set(k, (await trainer.evaluate(data)).loss)
  }
  await trainer.setTensor(name, at)
  const difference = (k: number) => (losses.get(k) as number) - (losses.get(-k) as number)
  const slope = (k: number) => (8 * difference(k) - difference(2 * k)) / (12 * k * h)
  const claimed = gradient.reduce((sum, g, i) => sum + g * (along[i] as number), 0)
  const tolerance = (1.5 * NOISE * loss) / h + Math.abs(slope(2) - slope(1)) / 8
  const off = Math.abs(slope(1) - claimed)
  return { off: off / size, tolerance: tolerance / size, fits: off <= tolerance }
}

/**
 * Every tensor that has a slope (or those that `wanted` picks) along one direction; four fifths must have one.
 * On the reference kernels, whose sums are exact enough.
 */
export async function checkGradients(
  trainer: NativeTrainer,
  data: NativeTrainBatch,
  wanted: (name: string) => boolean = () => true,
): Promise<void> {
  const { loss } = await trainer.accumulate(data, 1)
  const gradients = new Map<string, Float32Array>()
  for (const name of trainer.tensorNames().filter(wanted)) gradients.set(name, await trainer.tensor(name, 'gradient'))
  const largest = Math.max(...[...gradients.values()].map(norm))
  let checked = 0
  for (const [name, gradient] of gradients) {
    if (norm(gradient) < 1e-4 * largest) continue // no slope to be seen in fp32
    const { off, tolerance, fits } = await checkTensor(trainer, name, data, gradient, loss)
    assert.ok(fits, `${name}: off by ${off} of the gradient, ${tolerance} allowed`)
    assert.ok(tolerance < 0.02, `${name}: a tolerance of ${tolerance} proves nothing`)
    checked++
  }
  assert.ok(checked > 0.8 * gradients.size, `only ${checked} of ${gradients.size} tensors have a slope`)
}

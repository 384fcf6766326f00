/** Rows as the native trainer takes them, and what it says of them as samples again. */
import { picturesOf } from '../contracts/problem.ts'
import type { BatchLoss, TrainableOptions, TrainImage, TrainRow } from '../contracts/trainer.ts'
import type { NativePicture, NativeTrainBatch } from './native.ts'

interface BatchParts {
  options: TrainableOptions
  /** What stands in the tokens for each row of a picture. */
  imageToken: number
  /** Ids of the pieces that a PRM's score is made of. */
  pair: Int32Array
}

/** A picture that several rows show is given once; a pair is two samples, and siblings are one each. */
export async function trainBatch(
  rows: readonly TrainRow[],
  { options, imageToken, pair }: BatchParts,
  pictureOf: (image: TrainImage) => Promise<NativePicture>,
): Promise<NativeTrainBatch> {
  const images: NativePicture[] = []
  const imageIndex = new Map<TrainImage, number>()
  const groups = new Map<string, number>()
  const samples = []
  for (const [set, row] of rows.entries()) {
    const { group } = row.sample
    const pictures = picturesOf(row.sample)
    for (const image of pictures) {
      if (imageIndex.has(image)) continue
      imageIndex.set(image, images.length)
      images.push(await pictureOf(image))
    }
    if (!groups.has(group)) groups.set(group, groups.size)
    const { rejected, reference = [0, 0] } = row
    const common = {
      images: Int32Array.from(pictures, (image) => imageIndex.get(image) as number),
      group: groups.get(group) as number,
      siblings: row.siblings ? set : -1,
    }
    for (const { tokens, tokenWeights, markers, labels, markerWeights } of row.siblings ?? [row])
      samples.push({ ...common, tokens, tokenWeights, markers, labels, markerWeights, reference: reference[0] })
    const { markers, labels, markerWeights } = row
    if (rejected) samples.push({ ...common, markers, labels, markerWeights, ...rejected, reference: reference[1] })
  }
  const { preference, loss } = options
  return options.task === 'prm'
    ? { task: 'markers', samples, images, imageToken, pair, ...(loss?.kind === 'rank' && { rank: loss }) }
    : preference
      ? { task: 'pairs', samples, images, imageToken, preference }
      : { task: 'tokens', samples, images, imageToken }
}

/** Siblings are rows of their own to the native trainer, and one sample here. */
export function bySample(rows: readonly TrainRow[], loss: BatchLoss): BatchLoss {
  if (loss.predictions.length === 0) return loss
  let at = 0
  const predictions = rows.map(({ siblings = [] }) => {
    const own = loss.predictions.slice(at, at + Math.max(1, siblings.length))
    at += own.length
    return own.length === 1 ? (own[0] as Float32Array) : Float32Array.from(own.flatMap((p) => [...p]))
  })
  return { ...loss, predictions }
}

/** Keys of random streams: a rollout depends on (run seed, problem id, node path, index), never on scheduling. */
import { createHash } from 'node:crypto'

/** Key of the stream of one node, below 2^53. */
export type Streams = (prefix: readonly string[], occurrence?: number) => number

export function streamsOf(runSeed: number, problemId: string): Streams {
  return (prefix, occurrence = 0) => {
    const digest = createHash('sha256')
      .update(JSON.stringify([runSeed, problemId, prefix, occurrence]))
      .digest()
    return digest.readUIntBE(0, 6) * 32 + ((digest[6] as number) >> 3)
  }
}

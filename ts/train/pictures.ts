/** What the pictures of a data file hold: the file names them, and a resumed run must see the same. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { invalidArgument } from '../contracts/errors.ts'
import { picturesOf } from '../contracts/problem.ts'
import type { TrainImage, TrainSample } from '../contracts/trainer.ts'

const AT_ONCE = 8

const isPath = (image: TrainImage): image is string => typeof image === 'string' && !/^data:/i.test(image)

async function hashOf(path: string): Promise<string> {
  try {
    // WHY before it is opened: a pipe would wait for its writer, a device may never end.
    if (!(await stat(path)).isFile()) throw new Error('is not a regular file')
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
    return hash.digest('hex')
  } catch (error) {
    throw invalidArgument(`image ${path}: ${(error as Error).message}`, error)
  }
}

/**
 * Over the bytes of every picture that lies in a file of its own, in the order in which samples first name them;
 * undefined where there is none. @throws EngineError INVALID_ARGUMENT naming the picture
 */
export async function picturesHash(samples: readonly TrainSample[]): Promise<string | undefined> {
  const named = samples.flatMap((sample) => picturesOf(sample).filter(isPath))
  const paths = [...new Set(named)]
  if (paths.length === 0) return undefined
  const hashes: string[] = Array(paths.length)
  const left = paths.entries()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const [i, path] of left) hashes[i] = await hashOf(path)
    }),
  )
  return createHash('sha256').update(hashes.join('\n')).digest('hex')
}

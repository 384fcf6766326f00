/** Mini-K12 problems for the parts that use them: with PNG pictures for search and people, as samples for training. */
import { join } from 'node:path'
import sharp from 'sharp'
import { makeFolder } from '../contracts/folders.ts'
import type { Problem } from '../contracts/problem.ts'
import type { TrainSample } from '../contracts/trainer.ts'
import {
  type Choice,
  type Family,
  IMAGE_SIZE,
  type MiniProblem,
  makeProblem,
  makeProblems,
  writtenSolution,
} from '../tasks/index.ts'
import type { Dataset } from '../train/index.ts'

/** A problem with the truth about its steps, for tests of what was learnt. */
export interface MiniTask {
  readonly mini: MiniProblem
  /** Its image is the path of a PNG. */
  readonly problem: Problem
}

export async function writePicture({ pixels }: MiniProblem, path: string): Promise<void> {
  await sharp(pixels, { raw: { width: IMAGE_SIZE, height: IMAGE_SIZE, channels: 1 } })
    .png()
    .toFile(path)
}

/** Where a problem's picture lies below `folder`. */
const picturePath = (mini: MiniProblem) => `images/${mini.id.replaceAll('/', '-')}.png`

/** A problem as a line of a file beside its pictures; its steps are a worked solution, the answer last. */
export function taskLine(mini: MiniProblem): string {
  const { id, question, answer, family, level } = mini
  const steps = [...mini.steps.map((s) => s.text), answer]
  return JSON.stringify({ id, question, answer, image: picturePath(mini), family, level, steps })
}

/** `count` problems of the families in turn, with their pictures below `folder`. */
export async function* writeTasks(
  folder: string,
  families: readonly Family[],
  seed: string | number,
  count: number,
  choice?: Choice,
): AsyncGenerator<MiniTask> {
  makeFolder(join(folder, 'images'))
  for (const mini of makeProblems(families, seed, count, choice)) {
    const image = join(folder, picturePath(mini))
    await writePicture(mini, image)
    const { id, question, answer, family, level } = mini
    yield { mini, problem: { id, question, answer, image, meta: { family, level } } }
  }
}

export async function makeTasks(...of: Parameters<typeof writeTasks>): Promise<MiniTask[]> {
  const tasks: MiniTask[] = []
  for await (const task of writeTasks(...of)) tasks.push(task)
  return tasks
}

/** Solutions as people write them, mistakes included, to problems of the part `train`. Made when they are asked for. */
export function writtenSolutions(families: readonly Family[], seed: string, size: number): Dataset {
  return {
    size,
    fingerprint: `mini-k12 ${families.map((f) => f.name).join(' ')} ${seed}`,
    at(index): TrainSample {
      const mini = makeProblem(families[index % families.length] as Family, seed, index, { part: 'train' })
      const solution = writtenSolution(mini)
      return {
        id: mini.id,
        group: mini.id,
        question: mini.question,
        image: { pixels: mini.pixels, width: IMAGE_SIZE, height: IMAGE_SIZE, channels: 1 },
        ...solution,
        steps: [...solution.steps],
      }
    },
  }
}

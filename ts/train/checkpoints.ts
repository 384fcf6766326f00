/**
 * Checkpoints of a run: `checkpoints/step-00000100/` with the trainer's state and where the run stood. A folder gets
 * its name only when all in it is on the disk, so whatever carries the name is whole.
 */
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { TrainableModel } from '../contracts/trainer.ts'

export interface RunPosition {
  step: number
  /** Options and data that the run was started with. */
  identity: Record<string, unknown>
  bestEvalLoss: number | null
  bestStep: number | null
  evaluationsWithoutGain: number
  /** Of the last step that learnt something. */
  loss: number | null
  /** Samples learnt from, and samples left out for their length: each as often as it was met. */
  numSamples: number
  numSkipped: number
  seconds: number
}

const FOLDER_NAME = 'checkpoints'
const STATE = 'state.safetensors'
const POSITION = 'position.json'
const BEST = 'best'
const FOLDER = /^step-(\d{8})$/
const LEFTOVER = /\.tmp-\d+$/

const nameOf = (step: number) => `step-${String(step).padStart(8, '0')}`

/** The trainer's state after `step` steps of the run in `out`. */
export const statePath = (out: string, step: number) => join(out, FOLDER_NAME, nameOf(step), STATE)

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  await folder.sync().catch(() => {}) // some file systems refuse it for folders; the files themselves are safe
  await folder.close()
}

export class Checkpoints {
  readonly #out: string
  readonly #folder: string
  readonly #keep: number

  constructor(out: string, keep: number) {
    this.#out = out
    this.#folder = join(out, FOLDER_NAME)
    this.#keep = keep
  }

  /** Removes what a killed run had not finished writing. */
  async removeLeftovers(): Promise<void> {
    for (const folder of [this.#out, this.#folder]) {
      const names = await readdir(folder).catch(() => [])
      for (const name of names.filter((n) => LEFTOVER.test(n))) await rm(join(folder, name), { recursive: true, force: true })
    }
  }

  /** @throws EngineError STORE (full disk, no permission): earlier checkpoints stay as they are */
  async save(model: TrainableModel, position: RunPosition): Promise<void> {
    await this.#write(nameOf(position.step), model, position)
    const old = (await this.#steps()).slice(0, -this.#keep)
    for (const step of old) await rm(join(this.#folder, nameOf(step)), { recursive: true, force: true })
  }

  saveBest(model: TrainableModel, position: RunPosition): Promise<void> {
    return this.#write(BEST, model, position)
  }

  loadBest(model: TrainableModel): Promise<number> {
    return model.loadState(join(this.#folder, BEST, STATE))
  }

  /** Loads the newest whole checkpoint; undefined where there is none. */
  async resume(model: TrainableModel): Promise<RunPosition | undefined> {
    const position = await this.newest()
    if (position) await model.loadState(join(this.#folder, nameOf(position.step), STATE))
    return position
  }

  /** @throws EngineError STORE */
  async newest(): Promise<RunPosition | undefined> {
    const step = (await this.#steps()).at(-1)
    if (step === undefined) return undefined
    const path = join(this.#folder, nameOf(step), POSITION)
    try {
      return JSON.parse(await readFile(path, 'utf8')) as RunPosition
    } catch (error) {
      throw storeError(`${path}: ${(error as Error).message}; delete that checkpoint to go on from the one before`, error)
    }
  }

  async #steps(): Promise<number[]> {
    const names = await readdir(this.#folder).catch(() => [])
    return names
      .flatMap((name) => FOLDER.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b)
  }

  async #write(name: string, model: TrainableModel, position: RunPosition): Promise<void> {
    const path = join(this.#folder, name)
    const temporary = `${path}.tmp-${process.pid}`
    try {
      makeFolder(temporary)
      await model.saveState(join(temporary, STATE))
      const file = await open(join(temporary, POSITION), 'w')
      await file.writeFile(JSON.stringify(position))
      await file.sync()
      await file.close()
      await syncFolder(temporary)
      await rm(path, { recursive: true, force: true })
      await rename(temporary, path)
      await syncFolder(this.#folder)
    } catch (error) {
      await rm(temporary, { recursive: true, force: true }).catch(() => {})
      if (error instanceof EngineError && error.code === 'ERR_ENGINE_ABORTED') throw error
      throw storeError(`cannot save the checkpoint ${path}: ${(error as Error).message}`, error)
    }
  }
}

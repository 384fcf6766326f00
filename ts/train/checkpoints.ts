/**
 * Checkpoints of a run: `checkpoints/step-00000100/` with the trainer's state and where the run stood. A folder gets
 * its name only when all in it is on the disk, so whatever carries the name is whole.
 */
import { open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EngineError, storeError } from '../contracts/errors.ts'
import { makeFolder } from '../contracts/folders.ts'
import type { TrainableModel } from '../contracts/trainer.ts'
import { findDamage, writeChecksums } from './checksums.ts'

export interface RunPosition {
  step: number
  /** Options and data that the run was started with. */
  identity: Record<string, unknown>
  bestEvalLoss: number | null
  bestStep: number | null
  /** Fitted at that step; absent in runs of an earlier version. */
  threshold?: number | null
  evaluationsWithoutGain: number
  /** Of the last step that learnt something. */
  loss: number | null
  /** Samples learnt from, and samples left out for their length: each as often as it was met. */
  numSamples: number
  numSkipped: number
  /** Of several data sets: samples learnt from each. */
  seen?: number[]
  seconds: number
}

const FOLDER_NAME = 'checkpoints'
const STATE = 'state.safetensors'
const POSITION = 'position.json'
const FILES = [STATE, POSITION]
const BEST = 'best'
const FOLDER = /^step-(\d{8})$/
const LEFTOVER = /\.tmp-\d+$/

const nameOf = (step: number) => `step-${String(step).padStart(8, '0')}`

/** The trainer's state after `step` steps of the run in `out`. */
export const statePath = (out: string, step: number) => join(out, FOLDER_NAME, nameOf(step), STATE)

/** Where a run stood, or why that cannot be told. */
async function readPosition(folder: string): Promise<RunPosition | { damage: string }> {
  const damage = await findDamage(folder, FILES)
  if (damage !== undefined) return { damage }
  try {
    const position = JSON.parse(await readFile(join(folder, POSITION), 'utf8')) as RunPosition
    return typeof position.step === 'number' && position.identity ? position : { damage: `${POSITION} holds no position` }
  } catch (error) {
    return { damage: `${POSITION}: ${(error as Error).message}` }
  }
}

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

  /** For the model while it is open; one that a killed run left is removed like all that it left. */
  get workFolder(): string {
    return join(this.#out, `model.tmp-${process.pid}`)
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

  /** @throws EngineError STORE where its files are damaged */
  async loadBest(model: TrainableModel): Promise<number> {
    await this.checkBest()
    return model.loadState(join(this.#folder, BEST, STATE))
  }

  /** @throws EngineError STORE where the best weights so far are damaged or gone */
  async checkBest(): Promise<void> {
    const damage = await findDamage(join(this.#folder, BEST), FILES)
    if (damage === undefined) return
    throw storeError(`${join(this.#folder, BEST)}: ${damage}; the weights of the best evaluation are lost, begin the run anew`)
  }

  /** Steps whose checkpoints are there, whole or not, in rising order. */
  async #steps(): Promise<number[]> {
    const names = await readdir(this.#folder).catch(() => [])
    return names
      .flatMap((name) => FOLDER.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b)
  }

  /** The last step of which there is a checkpoint, whole or not. */
  async lastStep(): Promise<number | undefined> {
    return (await this.#steps()).at(-1)
  }

  /**
   * The newest checkpoint whose files are as they were written; undefined where there is none at all.
   * @param tell is told of every newer one that is damaged
   * @throws EngineError STORE where all of them are
   */
  async newestWhole(tell: (warning: string) => void): Promise<RunPosition | undefined> {
    const steps = (await this.#steps()).reverse()
    const damages: string[] = []
    for (const step of steps) {
      const folder = join(this.#folder, nameOf(step))
      const position = await readPosition(folder)
      if ('identity' in position) {
        for (const damage of damages) tell(`${damage}; the run goes on from step ${step}`)
        return position
      }
      damages.push(`${folder} is damaged: ${position.damage}`)
    }
    if (damages.length === 0) return undefined
    throw storeError(`${this.#out}: no checkpoint is whole: ${damages.join('; ')}; begin the run anew in another folder`)
  }

  loadState(model: TrainableModel, step: number): Promise<number> {
    return model.loadState(join(this.#folder, nameOf(step), STATE))
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
      await writeChecksums(temporary, FILES)
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

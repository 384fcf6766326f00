/** What an evaluation costs: beside its results, which are the same bytes however long they took. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { storeError } from '../contracts/errors.ts'

const FILE = 'costs.json'
/** A kill loses no more seconds than these. */
const SAVE_MS = 1000

const costSchema = z.strictObject({
  /** Of all runs together that went on with this one. */
  seconds: z.number(),
  tokens: z.int().optional(),
  money: z.number().optional(),
})
type TaskCost = z.output<typeof costSchema>

/** By task, in `costs.json`: kept up while work goes on, so that what was spent before a kill stays counted. */
export class Costs {
  readonly #path: string
  readonly #tasks: Record<string, TaskCost>

  /** @throws EngineError STORE: what is there is no such file */
  constructor(out: string) {
    this.#path = join(out, FILE)
    try {
      this.#tasks = existsSync(this.#path)
        ? z.record(z.string(), costSchema).parse(JSON.parse(readFileSync(this.#path, 'utf8')))
        : {}
    } catch (error) {
      throw storeError(`${this.#path}: holds no costs of an evaluation; the file was changed`, error)
    }
  }

  /** Counts the seconds of `work` for a task, from its beginning on. */
  async during<T>(task: string, work: () => Promise<T>): Promise<T> {
    const before = this.#of(task).seconds
    const began = performance.now()
    const count = () => this.#set(task, { seconds: before + (performance.now() - began) / 1000 })
    const timer = setInterval(() => {
      try {
        count()
      } catch {
        // A full disk is told by the work itself, or at its end.
      }
    }, SAVE_MS)
    try {
      return await work()
    } finally {
      clearInterval(timer)
      count()
    }
  }

  /** @param price of a million tokens */
  tokens(task: string, tokens: number, price: number | undefined): void {
    this.#set(task, { tokens, ...(price !== undefined && { money: (tokens * price) / 1e6 }) })
  }

  #of(task: string): TaskCost {
    return this.#tasks[task] ?? { seconds: 0 }
  }

  /** Appears whole or not at all. @throws EngineError STORE */
  #set(task: string, cost: Partial<TaskCost>): void {
    this.#tasks[task] = { ...this.#of(task), ...cost }
    const temporary = `${this.#path}.tmp`
    try {
      writeFileSync(temporary, `${JSON.stringify(this.#tasks, null, 1)}\n`)
      renameSync(temporary, this.#path)
    } catch (error) {
      throw storeError(`cannot write ${this.#path}: ${(error as Error).message}`, error)
    }
  }
}

/**
 * What a model was asked and decided, kept in a file as it comes: work that is stopped and resumed asks nothing
 * twice. The first line holds the settings that the decisions depend on, each other one a key and its decision.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { storeError } from './errors.ts'

/** By key; T has no undefined, which says that nothing was decided yet. */
export interface Decisions<T> {
  find(key: string): T | undefined
  keep(key: string, decision: T): void
}

export class DecisionFile<T> implements Decisions<T> {
  readonly #file: string
  readonly #head: string
  readonly #known = new Map<string, T>()

  /** @throws EngineError STORE: left by work that was stopped and not resumed, of other settings, or damaged */
  constructor(file: string, settings: unknown, resume: boolean) {
    this.#file = file
    this.#head = JSON.stringify({ settings })
    if (!existsSync(file)) return
    if (!resume) throw storeError(`${file}: left by work that was stopped; --resume goes on with it, or delete it`)
    this.#read()
  }

  #read(): void {
    const [first, ...rest] = readFileSync(this.#file, 'utf8').split('\n')
    if (first !== this.#head) throw storeError(`${this.#file}: of other settings: ${first}; now ${this.#head}`)
    // The last line has no end where the process died in the middle of it.
    const whole = rest.slice(0, -1)
    for (const [i, text] of whole.entries()) {
      try {
        const [key, decision] = JSON.parse(text) as [string, T]
        this.#known.set(key, decision)
      } catch (error) {
        throw storeError(`${this.#file}: line ${i + 2} is damaged; delete the file to ask anew`, error)
      }
    }
    this.#write(() => writeFileSync(this.#file, [first, ...whole, ''].join('\n')))
  }

  #write(write: () => void): void {
    try {
      write()
    } catch (error) {
      throw storeError(`cannot write ${this.#file}: ${(error as Error).message}`, error)
    }
  }

  find(key: string): T | undefined {
    return this.#known.get(key)
  }

  keep(key: string, decision: T): void {
    this.#known.set(key, decision)
    this.#write(() => {
      if (!existsSync(this.#file)) writeFileSync(this.#file, `${this.#head}\n`)
      appendFileSync(this.#file, `${JSON.stringify([key, decision])}\n`)
    })
  }

  /** To be called when the work is complete. */
  remove(): void {
    rmSync(this.#file, { force: true })
  }
}

/**
 * What a model was asked and decided, kept in a file as it comes: work that is stopped and resumed asks nothing
 * twice. The first line holds the settings that the decisions depend on, each other one a key and its decision.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
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
    const text = this.#guarded('read', () => readFileSync(this.#file, 'utf8'))
    // The last line has no end where the process died in the middle of it.
    const end = text.lastIndexOf('\n') + 1
    if (end < text.length) this.#guarded('write', () => truncateSync(this.#file, Buffer.byteLength(text.slice(0, end))))
    if (end === 0) {
      this.remove()
      return
    }
    const [first, ...lines] = text.slice(0, end - 1).split('\n')
    if (first !== this.#head) throw storeError(`${this.#file}: of other settings: ${first}; now ${this.#head}`)
    for (const [i, text] of lines.entries()) {
      try {
        const [key, decision] = JSON.parse(text) as [string, T]
        this.#known.set(key, decision)
      } catch (error) {
        throw storeError(`${this.#file}: line ${i + 2} is damaged; delete the file to ask anew`, error)
      }
    }
  }

  #guarded<R>(verb: 'read' | 'write', work: () => R): R {
    try {
      return work()
    } catch (error) {
      throw storeError(`cannot ${verb} ${this.#file}: ${(error as Error).message}`, error)
    }
  }

  find(key: string): T | undefined {
    return this.#known.get(key)
  }

  keep(key: string, decision: T): void {
    this.#known.set(key, decision)
    this.#guarded('write', () => {
      if (!existsSync(this.#file)) writeFileSync(this.#file, `${this.#head}\n`)
      appendFileSync(this.#file, `${JSON.stringify([key, decision])}\n`)
    })
  }

  /** To be called when the work is complete. */
  remove(): void {
    this.#guarded('write', () => rmSync(this.#file, { force: true }))
  }
}

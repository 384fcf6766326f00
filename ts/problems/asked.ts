/**
 * What a policy was asked in a curation, in a file beside its output: a curation that is stopped and resumed asks
 * nothing twice. Lines as they are decided; the first one holds the settings that the decisions depend on.
 */
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { storeError } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'
import type { PolicyObjection } from './policy-filter.ts'

export interface Asked {
  /** null: the policy had nothing against it; undefined: it was not asked. */
  find(problem: Problem): PolicyObjection | null | undefined
  keep(problem: Problem, objection: PolicyObjection | undefined): void
}

interface Line {
  id: string
  question: string
  answer: string
  objection: PolicyObjection | null
}

export class AskedFile implements Asked {
  readonly #file: string
  readonly #head: string
  readonly #lines = new Map<string, Line>()

  /** @throws EngineError STORE: left by a stopped curation and not resumed, or of other settings */
  constructor(file: string, settings: unknown, resume: boolean) {
    this.#file = file
    const head = JSON.stringify({ settings })
    this.#head = head
    if (existsSync(file)) this.#read(file, head, resume)
  }

  #read(file: string, head: string, resume: boolean): void {
    if (!resume) throw storeError(`${file}: left by a curation that was stopped; --resume goes on with it, or delete it`)
    const [first, ...rest] = readFileSync(file, 'utf8').split('\n')
    if (first !== head) throw storeError(`${file}: of other settings: ${first}; now ${head}`)
    // The last line has no end where the process died in the middle of it.
    for (const text of rest.slice(0, -1)) {
      const line = JSON.parse(text) as Line
      this.#lines.set(line.id, line)
    }
    writeFileSync(file, [head, ...rest.slice(0, -1), ''].join('\n'))
  }

  find({ id, question, answer }: Problem): PolicyObjection | null | undefined {
    const line = this.#lines.get(id)
    return line?.question === question && line.answer === answer ? line.objection : undefined
  }

  /** A policy that fails decides nothing, so no failure comes here. */
  keep({ id, question, answer }: Problem, objection: PolicyObjection | undefined): void {
    if (!existsSync(this.#file)) writeFileSync(this.#file, `${this.#head}\n`)
    appendFileSync(this.#file, `${JSON.stringify({ id, question, answer, objection: objection ?? null })}\n`)
  }

  /** To be called when the curation is complete. */
  remove(): void {
    rmSync(this.#file, { force: true })
  }
}

/** Problems of a file or list, with the store of one machine. */
import { invalidArgument } from '../contracts/errors.ts'
import type { Problem } from '../contracts/problem.ts'
import type { RunStore } from '../contracts/run-store.ts'
import type { Lease, WorkSource } from '../contracts/work.ts'

export type Problems = AsyncIterable<Problem> | Iterable<Problem>

class StoreSource implements WorkSource {
  readonly #problems: AsyncIterator<Problem> | Iterator<Problem>
  readonly #store: RunStore
  readonly #seen = new Set<string>()

  constructor(problems: Problems, store: RunStore) {
    this.#problems = Symbol.asyncIterator in problems ? problems[Symbol.asyncIterator]() : problems[Symbol.iterator]()
    this.#store = store
  }

  async next(): Promise<Lease | undefined> {
    const next = await this.#problems.next()
    if (next.done) return undefined
    const problem = next.value
    if (this.#seen.has(problem.id)) throw invalidArgument(`problem id "${problem.id}" occurs twice`)
    this.#seen.add(problem.id)
    const store = this.#store
    const { status, known } = await store.begin(problem)
    return {
      ...{ problem, status, known },
      append: (event) => store.append(problem.id, event),
      fail: (reason) => store.fail(problem.id, reason),
      done: async () => {},
      giveBack: async () => {},
    }
  }

  /** Lets go of what the problems are read from. */
  async end(): Promise<void> {
    await this.#problems.return?.()
  }
}

export function storeSource(problems: Problems, store: RunStore): StoreSource {
  return new StoreSource(problems, store)
}

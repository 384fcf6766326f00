/** What a command has open: closed when it is over, the last thing first. */

export class Closing implements AsyncDisposable {
  readonly #open: (() => Promise<void>)[] = []

  add(...close: (() => Promise<void>)[]): void {
    this.#open.push(...close)
  }

  /** @throws the first failure, when all else is closed */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = []
    for (const close of this.#open.splice(0).reverse()) await close().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }
}

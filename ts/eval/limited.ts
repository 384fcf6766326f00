/** Does so many at once, in the order of their beginnings; the first failure ends all. */
export async function forEachLimited<T>(all: Iterable<T>, limit: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = all[Symbol.iterator]()
  let failed = false
  const worker = async () => {
    for (let next = waiting.next(); !next.done && !failed; next = waiting.next()) {
      try {
        await work(next.value)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: limit }, worker))
}

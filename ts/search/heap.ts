/**
 * Binary heap with the sift order of Python's `heapq`: a hole sinks to a leaf first, then the moved item rises.
 * WHY: under `less` that leaves ties open, as the reference's does, which item comes first depends on that order.
 */
export class Heap<T> {
  readonly #items: T[] = []
  readonly #less: (a: T, b: T) => boolean

  constructor(less: (a: T, b: T) => boolean) {
    this.#less = less
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    this.#items.push(item)
    this.#rise(this.#items.length - 1)
  }

  pop(): T | undefined {
    const items = this.#items
    const last = items.pop()
    if (items.length === 0 || last === undefined) return last
    const first = items[0]
    items[0] = last
    this.#rise(this.#sinkHole())
    return first
  }

  /** Moves the root to a leaf, always past the smaller child; returns where it ended. */
  #sinkHole(): number {
    const items = this.#items
    const item = items[0] as T
    let at = 0
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      const right = child + 1
      if (right < items.length && !this.#less(items[child] as T, items[right] as T)) child = right
      items[at] = items[child] as T
      at = child
    }
    items[at] = item
    return at
  }

  #rise(from: number): void {
    const items = this.#items
    const item = items[from] as T
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#less(item, items[parent] as T)) break
      items[at] = items[parent] as T
      at = parent
    }
    items[at] = item
  }
}

/** Group commit: writes that come close together share one transaction, and each resolves when it is on the disk. */
import { storeError } from '../contracts/errors.ts'
import { type Database, guarded } from './driver.ts'

/** A commit waits this many times as long as the last one took, so that at most a fifth of the time goes into them. */
const PAUSE_PER_COMMIT = 4
const MIN_PAUSE_MS = 1

interface Pending {
  write: () => void
  resolve: () => void
  reject: (error: unknown) => void
}

export class CommitQueue {
  readonly #db: Database
  readonly #path: string
  #pending: Pending[] = []
  #timer: NodeJS.Timeout | undefined
  #lastMs = 0
  #broken: unknown

  constructor(db: Database, path: string) {
    this.#db = db
    this.#path = path
  }

  push(write: () => void): Promise<void> {
    if (this.#broken) return Promise.reject(this.#broken)
    return new Promise((resolve, reject) => {
      this.#pending.push({ write, resolve, reject })
      this.#timer ??= setTimeout(() => this.flush(), Math.max(MIN_PAUSE_MS, this.#lastMs * PAUSE_PER_COMMIT))
    })
  }

  /** Commits what waits. After a failure nothing more is written: what a caller was told is on the disk, is. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const batch = this.#pending
    this.#pending = []
    if (batch.length === 0) return
    const start = performance.now()
    try {
      guarded(this.#path, () => {
        this.#db.exec('BEGIN IMMEDIATE')
        for (const { write } of batch) write()
        this.#db.exec('COMMIT')
      })
      for (const { resolve } of batch) resolve()
    } catch (error) {
      this.#broken = error
      this.#rollBack()
      for (const { reject } of batch) reject(error)
    }
    this.#lastMs = performance.now() - start
  }

  /** Commits, then refuses. Whether all was written. */
  end(): boolean {
    this.flush()
    const isWhole = this.#broken === undefined
    this.#broken ??= storeError(`${this.#path}: the run is closed`)
    return isWhole
  }

  #rollBack(): void {
    try {
      this.#db.exec('ROLLBACK')
    } catch {
      // SQLite has rolled back by itself, as it does on a full disk.
    }
  }
}

/** The places where a run may be kept, behind one door: what every store must do is asked of each alike. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Problem } from '../../ts/contracts/problem.ts'
import type { RunReader } from '../../ts/contracts/run-store.ts'
import { identityOf, runSearch, runWork, type SearchProgress, type SearchSettings } from '../../ts/search/runner.ts'
import { PostgresSource, Runs } from '../../ts/store/postgres/index.ts'
import { openRun } from '../../ts/store/reader.ts'
import { SqliteRunStore } from '../../ts/store/sqlite.ts'

export interface WorkChanges {
  /** In place of the run's policy, of the same identity. */
  readonly policy?: SearchSettings['policy']
  readonly verifier?: SearchSettings['verifier']
  readonly signal?: AbortSignal
  readonly inFlight?: number
}

export interface KeptRun {
  /** Makes the run, or takes it up, and works on it until nothing is left. */
  work(problems: readonly Problem[], changes?: WorkChanges): Promise<SearchProgress>
  read(): Promise<RunReader>
}

export interface StoreKind {
  readonly name: string
  make(settings: SearchSettings): KeptRun
  end(): void
}

export function folders(): StoreKind {
  const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-stores-'))
  let made = 0
  return {
    name: 'SQLite',
    make(settings) {
      const folder = join(scratch, `run-${made++}`)
      const identity = identityOf(settings)
      let resume = false
      return {
        async work(problems, { inFlight = 3, ...changes } = {}) {
          const store = SqliteRunStore.open({ folder, identity, resume })
          resume = true
          try {
            return await runSearch({ ...settings, ...changes, problems, store, inFlight })
          } finally {
            await store.close()
          }
        },
        read: async () => openRun(folder),
      }
    },
    end: () => rmSync(scratch, { recursive: true, force: true }),
  }
}

/** @param url of a database that is the caller's */
export function database(url: string): StoreKind {
  return {
    name: 'PostgreSQL',
    make(settings) {
      let run = ''
      return {
        async work(problems, { inFlight = 3, signal, ...changes } = {}) {
          const runs = await Runs.open(url)
          const submitted = problems.map((problem) => ({ problem }))
          run = await runs.submit(identityOf(settings), {}, submitted).finally(() => runs.close())
          const source = await PostgresSource.open({ url, run, untilDone: true })
          const settingsOf = () => ({ ...settings, ...changes })
          try {
            return await runWork({ source, settingsOf, inFlight, ...(signal && { signal }) })
          } finally {
            await source.close()
          }
        },
        read: () => openRun(`${url}#${run}` as `postgres://${string}`),
      }
    },
    end() {},
  }
}

/** Everything that a reader says of a run, as one text. */
export async function contentsOf(reader: RunReader): Promise<string> {
  const parts: unknown[] = [reader.identity, reader.runId, await reader.summary()]
  for await (const tree of reader.trees()) parts.push(tree)
  for await (const found of reader.candidates()) parts.push(found)
  await reader.close()
  return JSON.stringify(parts, (_, v) => (v?.type === 'Buffer' ? v.data : v instanceof Uint8Array ? [...v] : v))
}

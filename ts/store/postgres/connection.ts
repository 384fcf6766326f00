/**
 * The door to PostgreSQL: the optional packages `pg` and `pg-boss`, loaded when a `postgres://` is named. Whatever a restart
 * of the server or a cut in the network breaks is tried again; all else is an error of ours.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool, PoolClient } from 'pg'
import type { PgBoss } from 'pg-boss'
import { throwIfAborted } from '../../contracts/abort.ts'
import { EngineError, storeError } from '../../contracts/errors.ts'
import { withoutUserinfo } from '../../contracts/secrets.ts'
import type { Row } from '../driver.ts'

/** pg-boss 12 needs it; npm picks an older one, without leases, where Node is older. */
const FIRST_NODE = [22, 12] as const
const MAX_CONNECTIONS = 4
const CONNECT_MS = 10_000
/**
 * A worker that freezes, or is cut off, between two statements of a transaction holds its locks: nobody could take its problem
 * over. The server ends such a transaction after this.
 */
export const IDLE_IN_TRANSACTION_MS = 10_000
const FIRST_WAIT_MS = 100
const MAX_WAIT_MS = 5_000
/** So long a database may be away before its absence is an error. */
const PATIENCE_MS = 120_000

export interface PgModules {
  pg: typeof import('pg')
  PgBoss: typeof PgBoss
}

function checkNode(version = process.versions.node): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [wanted, wantedMinor] = FIRST_NODE
  if (major > wanted || (major === wanted && minor >= wantedMinor)) return
  throw storeError(
    `postgres:// needs Node ${FIRST_NODE.join('.')} or later, this is ${version}; a run folder (--out DIR) needs none`,
  )
}

/** @throws EngineError STORE saying what to install */
export async function loadModules(): Promise<PgModules> {
  checkNode()
  try {
    const [pg, { PgBoss }] = await Promise.all([import('pg'), import('pg-boss')])
    if (typeof PgBoss !== 'function') throw new Error('pg-boss is older than version 12')
    return { pg: pg.default as unknown as PgModules['pg'], PgBoss }
  } catch (error) {
    const why = (error as Error).message.split('\n')[0]
    throw storeError(`postgres:// needs two more packages: npm install pg@8 pg-boss@12 (${why})`, error)
  }
}

const PASSING =
  /^(?:08...|25P03|57P0.|40001|40P01|53300|ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOENT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/
const PASSING_WORDS =
  /connection terminated|connection timeout|timeout exceeded when trying to connect|client has encountered a connection error|not queryable/i

/** Whether the same may work a moment later. */
export function isPassing(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return (typeof code === 'string' && PASSING.test(code)) || PASSING_WORDS.test(String(message))
}

/** Runs statements in a transaction or alone. */
export interface Sql {
  query(text: string, values?: readonly unknown[]): Promise<Row[]>
}

export class Connection implements Sql {
  /** Without the password. */
  readonly shown: string
  readonly url: string
  readonly #pool: Pool
  readonly #hurry = new AbortController()
  #saysLost = false

  private constructor(pool: Pool, url: string) {
    this.#pool = pool
    this.url = url
    this.shown = withoutUserinfo(url)
    // A restart ends idle connections too: each would be an event without a listener, and the end of the process.
    pool.on('error', () => {})
  }

  /** @param url without `#RUN` */
  static async open(url: string): Promise<Connection> {
    const { pg } = await loadModules()
    const pool = new pg.Pool({
      connectionString: url,
      max: MAX_CONNECTIONS,
      connectionTimeoutMillis: CONNECT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
      keepAlive: true,
      application_name: 'mm-prm',
    })
    return new Connection(pool, url)
  }

  query(text: string, values: readonly unknown[] = [], signal?: AbortSignal): Promise<Row[]> {
    return this.#patiently(async () => (await this.#pool.query(text, [...values])).rows as Row[], signal)
  }

  /**
   * All of `work` or nothing. It may run several times, and once more where its commit was not answered: it must be
   * written so that a second time does no harm.
   */
  transaction<T>(work: (sql: Sql) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#patiently(() => this.#once(work), signal)
  }

  /** From now on nothing is tried again: who is asked to end does not wait for a database that is away. */
  hurry(): void {
    this.#hurry.abort()
  }

  get isHurried(): boolean {
    return this.#hurry.signal.aborted
  }

  async close(): Promise<void> {
    await this.#pool.end()
  }

  async #once<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect()
    const onError = () => {} // the query that waits is told
    client.on('error', onError)
    let broken: Error | undefined
    try {
      await client.query('BEGIN')
      const result = await work(sqlOf(client))
      await client.query('COMMIT')
      return result
    } catch (error) {
      if (isPassing(error)) broken = error as Error
      else await client.query('ROLLBACK').catch((e: Error) => (broken = e))
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  async #patiently<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const began = performance.now()
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(MAX_WAIT_MS, wait * 2)) {
      throwIfAborted(signal, 'the write')
      try {
        const result = await work()
        this.#saysLost = false
        return result
      } catch (error) {
        if (error instanceof EngineError) throw error
        const { message } = error as Error
        if (!isPassing(error) || this.isHurried || performance.now() - began > PATIENCE_MS)
          throw storeError(`${this.shown}: ${withoutUserinfo(message)}`, error)
        if (!this.#saysLost) process.stderr.write(`mm-prm: ${this.shown}: ${withoutUserinfo(message)}; trying again\n`)
        this.#saysLost = true // dozens fail at once where a server restarts: one line says it
        const ended = AbortSignal.any([this.#hurry.signal, ...(signal ? [signal] : [])])
        await sleep(wait * (0.5 + Math.random()), undefined, { signal: ended }).catch(() => throwIfAborted(signal, 'the write'))
      }
    }
  }
}

function sqlOf(client: PoolClient): Sql {
  return { query: async (text, values = []) => (await client.query(text, [...values])).rows as Row[] }
}

/** The database and, behind `#`, the run. */
export function splitUri(uri: string): { url: string; run: string | undefined } {
  const at = uri.indexOf('#')
  return at < 0 ? { url: uri, run: undefined } : { url: uri.slice(0, at), run: uri.slice(at + 1) || undefined }
}

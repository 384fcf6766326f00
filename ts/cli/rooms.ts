/** What a worker has open for its runs. */
import { invalidArgument } from '../contracts/errors.ts'
import type { RunIdentity } from '../contracts/run-store.ts'
import type { Lease } from '../contracts/work.ts'
import { identityOf, type SearchSettings } from '../search/runner.ts'
import type { Runs } from '../store/postgres/index.ts'
import { UsageError } from './command.ts'
import { warn } from './hub-model.ts'
import { checkDevice, checkIdentity, missingFolder, type OpenedRun, openSettings, type RunValues } from './run-settings.ts'
import type { SearchValues } from './search.ts'

/** What is open for the runs of equal settings. */
interface Room {
  readonly opened: Promise<OpenedRun>
  runs: number
}

interface OwnRun {
  /** Its number in the database. */
  readonly run: number
  readonly settings: SearchSettings
  readonly deviceClass: string | undefined
}

/** What is asked of the database. */
export interface RunSource {
  readonly runs: Pick<Runs, 'find' | 'deviceClass'>
  computesOn(run: string, deviceClass: string): void
}

/** Opens what a run needs when its first problem comes; runs that need the same share it. */
export class Rooms {
  readonly #source: RunSource
  readonly #open: typeof openSettings
  readonly #mine: Partial<SearchValues>
  readonly #rooms = new Map<string, Room>()
  readonly #ofRun = new Map<string, Promise<OwnRun>>()

  /** @param mine options of this machine, before the runs' own */
  constructor(source: RunSource, mine: Partial<SearchValues>, open = openSettings) {
    this.#source = source
    this.#mine = mine
    this.#open = open
  }

  /** @throws EngineError as `Work.settingsOf` */
  async settingsOf(lease: Lease): Promise<SearchSettings> {
    const name = lease.run as string
    const known = this.#ofRun.get(name) ?? this.#enter(name)
    this.#ofRun.set(name, known)
    const own = await known
    await this.#checkDevice(name, own) // another's first evidence may have come before ours
    return own.settings
  }

  async #enter(name: string): Promise<OwnRun> {
    const { run, row } = await this.#source.runs.find(name)
    const values = { ...(JSON.parse(String(row['settings'])) as RunValues), ...this.#mine } as SearchValues
    const missing = missingFolder(values)
    if (missing) throw invalidArgument(`run ${name}: ${missing} is not here; the option says where it is on this machine`)
    const key = JSON.stringify(values)
    const room = this.#rooms.get(key) ?? { opened: this.#open(values), runs: 0 }
    this.#rooms.set(key, room)
    room.runs++
    try {
      const own = { run, ...(await room.opened) }
      checkIdentity(name, JSON.parse(String(row['identity'])) as RunIdentity, identityOf(own.settings), own.deviceClass)
      if (await this.#checkDevice(name, own)) warn(unrecorded(name, own.deviceClass))
      if (own.deviceClass !== undefined) this.#source.computesOn(name, own.deviceClass)
      return own
    } catch (error) {
      room.runs--
      if (room.runs === 0 && this.#rooms.delete(key)) await closeRoom(room)
      // The run's own options: another worker's may make up for them.
      throw error instanceof UsageError ? invalidArgument(`run ${name}: ${error.message}`, error) : error
    }
  }

  /** Resolves to whether the run has evidence of which no class is recorded. @throws EngineError INVALID_ARGUMENT */
  async #checkDevice(name: string, { run, deviceClass: ours }: OwnRun): Promise<boolean> {
    if (ours === undefined) return false
    const { deviceClass, hasBegun } = await this.#source.runs.deviceClass(run)
    if (deviceClass !== null) checkDevice(name, deviceClass, ours)
    return deviceClass === null && hasBegun
  }

  async close(): Promise<void> {
    for (const room of this.#rooms.values()) await closeRoom(room)
  }
}

/** One that could not be opened has nothing to be closed. */
async function closeRoom({ opened }: Room): Promise<void> {
  await opened.then(
    (room) => room[Symbol.asyncDispose](),
    () => {},
  )
}

const unrecorded = (name: string, ours: string | undefined) =>
  `run ${name}: it was begun without a record of which class of devices worked on it; what there is may have other bits than ${ours}'s`

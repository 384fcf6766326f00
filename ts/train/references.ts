/**
 * Log-probabilities of the answers of pairs under the weights that a run begins with. They are computed once, before the
 * first step, and kept in `reference.jsonl` of the run's folder; what of it is missing or damaged is computed again while the
 * model is as it was opened, so the file may be lost at any time.
 */
import { createReadStream, existsSync } from 'node:fs'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { storeError, trainingError } from '../contracts/errors.ts'
import { hash32 } from '../contracts/random.ts'

/** Of the preferred answer and of the other. */
export type Reference = readonly [chosen: number, rejected: number]

const FILE = 'reference.jsonl'

const checkOf = (key: string, pair: Reference) => hash32(`${key} ${pair.join(' ')}`)
const lineOf = (key: string, pair: Reference) => JSON.stringify([key, ...pair, checkOf(key, pair)])

/** A line; undefined where it is not as it was written. */
function readLine(line: string): [string, number, number] | undefined {
  try {
    const [key, chosen, rejected, check] = JSON.parse(line) as [string, number, number, number]
    return check === checkOf(key, [chosen, rejected]) ? [key, chosen, rejected] : undefined
  } catch {
    return undefined
  }
}

export class References implements AsyncDisposable {
  readonly #path: string
  readonly #known: Map<string, Reference>
  readonly #file: FileHandle

  private constructor(path: string, known: Map<string, Reference>, file: FileHandle) {
    this.#path = path
    this.#known = known
    this.#file = file
  }

  /** @param head what the values depend on: of a file with another one nothing is taken. @throws EngineError STORE */
  static async open(out: string, head: object): Promise<References> {
    const path = join(out, FILE)
    const first = JSON.stringify(head)
    try {
      const { known, isWhole } = await readKnown(path, first)
      if (!isWhole) await rm(path, { force: true })
      const file = await open(path, 'a')
      const references = new References(path, known, file)
      if (!isWhole) await references.#write([first, ...[...known].map(([key, pair]) => lineOf(key, pair))])
      return references
    } catch (error) {
      throw storeError(`cannot open ${path}: ${(error as Error).message}`, error)
    }
  }

  has(key: string): boolean {
    return this.#known.has(key)
  }

  /** @throws EngineError TRAINING where the untrained model was never asked about sample `id` as it is now */
  of(key: string, id: string): Reference {
    const known = this.#known.get(key)
    if (known) return known
    const why = 'its data set gave another sample in its place before the first step; it must give the same one whenever asked'
    throw trainingError(`sample ${id}: no log-probabilities of the untrained model are known: ${why}`)
  }

  /** @throws EngineError TRAINING where one is no number, STORE */
  async keep(pairs: readonly { key: string; id: string; pair: Reference }[]): Promise<void> {
    const bad = pairs.find(({ pair }) => !pair.every(Number.isFinite))
    if (bad) throw trainingError(`the untrained model gives sample ${bad.id} the log-probabilities ${bad.pair.join(' and ')}`)
    for (const { key, pair } of pairs) this.#known.set(key, pair)
    await this.#write(pairs.map(({ key, pair }) => lineOf(key, pair)))
  }

  async #write(lines: readonly string[]): Promise<void> {
    await this.#file.appendFile(lines.map((line) => `${line}\n`).join('')).catch((error: Error) => {
      throw storeError(`cannot write ${this.#path}: ${error.message}`, error)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}

/** What a file holds that can be used, and whether it can be gone on with as it stands. */
async function readKnown(path: string, first: string): Promise<{ known: Map<string, Reference>; isWhole: boolean }> {
  const known = new Map<string, Reference>()
  if (!existsSync(path)) return { known, isWhole: false }
  let [number, isWhole] = [0, true]
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (number++ === 0) {
      if (line !== first) return { known, isWhole: false }
      continue
    }
    const read = readLine(line)
    if (read) known.set(read[0], [read[1], read[2]])
    else isWhole = false
  }
  return { known, isWhole: isWhole && number > 0 }
}

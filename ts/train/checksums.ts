/** Checksums of the files of a checkpoint, in the form that `sha256sum -c` reads. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const NAME = 'SHA256SUMS'

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

export async function writeChecksums(folder: string, names: readonly string[]): Promise<void> {
  const lines: string[] = []
  for (const name of names) lines.push(`${await sha256(join(folder, name))}  ${name}\n`)
  await using file = await open(join(folder, NAME), 'w')
  await file.writeFile(lines.join(''))
  await file.sync()
}

/** What the folder's list says, by name; undefined where an earlier version wrote none. */
async function readChecksums(folder: string): Promise<Map<string, string> | undefined> {
  try {
    const lines = (await readFile(join(folder, NAME), 'utf8')).split('\n')
    return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** What is wrong with the folder's files; undefined where nothing is. */
export async function findDamage(folder: string, names: readonly string[]): Promise<string | undefined> {
  try {
    const written = await readChecksums(folder)
    for (const name of names) {
      const actual = await sha256(join(folder, name))
      if (written && written.get(name) !== actual) return `${name} is not as it was written`
    }
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** `mm-prm models`: what the cache holds. */
import { cachedModels } from '../hub/index.ts'
import { type Command, EXIT, readOptions } from './command.ts'
import { warn } from './hub-model.ts'
import { formatColumns } from './table.ts'

const USAGE = `usage: mm-prm models [--json]

Lists the models of the cache (HF_HUB_CACHE): name, revision, commit, size, and what is missing where a download stopped.`

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, { json: { type: 'boolean' } })
  const { cache, models, warnings } = await cachedModels()
  for (const text of warnings) warn(text)
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ cache, models })}\n`)
  } else if (models.length === 0) {
    process.stdout.write(`no model in ${cache}\n`)
  } else {
    const rows = models.map(({ id, commit, revisions, bytes, missing }) => [
      id,
      revisions.join(' ') || '-',
      commit.slice(0, 12),
      `${(bytes / 1e6).toFixed(1)} MB`,
      missing.length > 0 ? `missing: ${missing.join(', ')}` : 'whole',
    ])
    process.stdout.write(formatColumns([['model', 'revision', 'commit', 'size', 'state'], ...rows]))
  }
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

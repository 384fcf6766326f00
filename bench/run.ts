/**
 * Runs the benchmarks one after the other, each in a process of its own; each writes bench/results/<name>.json.
 *
 *   npm run bench [-- NAME… [-- OPTIONS for them]]     default: all
 */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')
const separator = process.argv.indexOf('--', 2)
const names = process.argv.slice(2, separator < 0 ? undefined : separator)
const options = separator < 0 ? [] : process.argv.slice(separator + 1)

const files = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.bench.ts'))
const benches = new Map(files.sort().map((file) => [basename(file, '.bench.ts'), join(import.meta.dirname, file)]))
for (const name of names) {
  if (!benches.has(name)) throw new Error(`no benchmark "${name}"; known: ${[...benches.keys()].join(', ')}`)
}

for (const [name, file] of benches) {
  if (names.length > 0 && !names.includes(name)) continue
  console.log(`== ${name}`)
  const { status } = spawnSync(process.execPath, ['--import', 'tsx', file, ...options], { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

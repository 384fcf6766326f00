/** Documents that are made from something else are up to date with it. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readMiniResults } from '../../bench/mini/results.ts'
import { findings } from '../../bench/mini/tables.ts'
import { updated } from '../../bench/table.ts'

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')

test('the README shows the results of the last benchmark', () => {
  assert.ok(readme === updated(readme), 'README.md is not what npm run bench:table makes of bench/results')
})

test('the page of findings shows the results of the last run', () => {
  const page = readFileSync(join(import.meta.dirname, '../../bench/mini/README.md'), 'utf8')
  assert.ok(page === findings(readMiniResults()), 'bench/mini/README.md is not what npm run bench:table makes of bench/results')
})

test('the README and the help name the same commands', () => {
  const main = join(import.meta.dirname, '../../ts/cli/main.ts')
  const help = execFileSync(process.execPath, ['--import', 'tsx', main, '--help'], { encoding: 'utf8' })
  const commands = [...help.matchAll(/^ {2}([a-z-]+) {2}/gm)].map((m) => m[1])
  const rows = [...readme.matchAll(/^\| `mm-prm ([a-z-]+)/gm)].map((m) => m[1])
  assert.ok(commands.length > 0)
  assert.equal(rows.sort(), commands.sort())
})

test.run()

/** Documents that are made from something else are up to date with it. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readMiniResults } from '../../bench/mini/results.ts'
import { findings } from '../../bench/mini/tables.ts'
import { readResults } from '../../bench/results.ts'
import { readSystemResults } from '../../bench/systems/results.ts'
import { systemsPage } from '../../bench/systems/tables.ts'
import { tablesPage, updated } from '../../bench/table.ts'

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')

test('the README shows the results of the last benchmark', () => {
  assert.ok(readme === updated(readme), 'README.md is not what npm run bench:table makes of bench/results')
})

test('the page of tables shows all of it', () => {
  const page = readFileSync(join(import.meta.dirname, '../../bench/results/README.md'), 'utf8')
  assert.ok(page === tablesPage(readResults()), 'bench/results/README.md is not what npm run bench:table makes of bench/results')
})

test('times and rates are compared in one way: how many times faster', () => {
  const rows = (unit: string) => [{ name: 'a', unit, median: 4, p95: 5, samples: 1, headline: true, faster: { x: 2.45, y: 0.5 } }]
  const machine = { cpu: 'c', threads: 2, instructionSet: 'i', memoryGiB: 1, node: 'n' }
  for (const unit of ['ms', 'tokens/s', 'µs/rollout']) {
    const page = tablesPage([{ bench: 'b', machine, commit: 'd', recipe: {}, measurements: rows(unit) }])
    assert.match(page, /2\.5 × faster than x, 2\.0 × slower than y/)
  }
})

test('the page of findings shows the results of the last run', () => {
  const page = readFileSync(join(import.meta.dirname, '../../bench/mini/README.md'), 'utf8')
  assert.ok(page === findings(readMiniResults()), 'bench/mini/README.md is not what npm run bench:table makes of bench/results')
})

test('the page of the related systems shows the results of their last run', () => {
  const page = readFileSync(join(import.meta.dirname, '../../bench/systems/README.md'), 'utf8')
  assert.ok(
    page === systemsPage(readSystemResults()),
    'bench/systems/README.md is not what npm run bench:table makes of bench/results',
  )
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

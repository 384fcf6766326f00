/** Documents that are made from something else are up to date with it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { updated } from '../../bench/table.ts'

test('the README shows the results of the last benchmark', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8')
  assert.is(readme, updated(readme), 'npm run bench:table makes the table again')
})

test.run()

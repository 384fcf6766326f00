/** Engines that nobody closes: collected, with their threads; kept alive by what is in flight; no hindrance at exit. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'

const CHILD = join(import.meta.dirname, '../helpers/collect-engines.ts')

test('an engine that was dropped is freed with its threads, but not under what is in flight', () => {
  const args = ['--expose-gc', '--import', 'tsx', CHILD, pickCheckpoint({ kind: 'scoreSolutions' })]
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 120_000 })
  assert.is(child.status, 0, child.stderr || `${child.signal}`)
  const seen = JSON.parse(child.stdout)
  for (const name of ['closed', 'idle', 'used']) assert.ok(seen.collected.includes(name), `${name} was collected`)
  assert.ok(seen.during >= seen.before + 4, `${seen.during} threads with two engines, ${seen.before} before`)
  assert.ok(seen.after <= seen.before, `${seen.after} threads after, ${seen.before} before`)
  assert.equal(seen.completionTokens, [200, 200, 200])
  assert.is(seen.streamedTokens, 600)
})

test.run()

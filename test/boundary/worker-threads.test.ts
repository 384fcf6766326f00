/**
 * Worker threads that used the addon end one after another: Node unloads the addon with the last of them, while threads of
 * the engine end. In processes of their own, whose main thread does not hold it.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'

const SCRIPT = join(import.meta.dirname, '../helpers/worker-threads.mjs')
/** It died in two of three runs. */
const RUNS = 3

for (const kind of ['close', 'leave', 'terminate', 'opening']) {
  test(`workers that ${kind === 'opening' ? 'end while an engine opens' : `${kind} their engine`}`, () => {
    const args = [SCRIPT, pickCheckpoint({ kind: 'scoreSolutions' }), kind]
    for (let i = 0; i < RUNS; i++) {
      const output = execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 300_000 })
      assert.match(output, /all workers ended/)
    }
  })
}

test.run()

/** A run that is killed again and again ends with the same database as one that is left alone. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openRun } from '../../../ts/store/reader.ts'
import { dumpRun } from '../../helpers/dump-run.ts'

const KILLS = 32
const NUM_PROBLEMS = 40
const WORKER = join(import.meta.dirname, '../../helpers/search-worker.ts')
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-kill-'))

/** Runs the worker; kills it after `lifeMs`. Resolves to whether it was killed, and when it had ended by itself. */
function live(
  folder: string,
  lifeMs: number,
  numProblems = NUM_PROBLEMS,
): Promise<{ killed: boolean; ms: number; code: number | null; errors: string }> {
  return new Promise((resolve) => {
    const start = performance.now()
    const child = spawn(process.execPath, ['--import', 'tsx', WORKER, folder, String(numProblems)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let errors = ''
    child.stderr.setEncoding('utf8').on('data', (text) => (errors += text))
    const timer = setTimeout(() => child.kill('SIGKILL'), lifeMs)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ killed: signal === 'SIGKILL', ms: performance.now() - start, code, errors })
    })
  })
}

test(`${KILLS} kills at random points leave the same contents`, async () => {
  const start = await live(join(scratch, 'empty'), 300_000, 0)
  const undisturbed = join(scratch, 'undisturbed')
  const whole = await live(undisturbed, 300_000)
  assert.is(whole.code, 0, whole.errors)
  const workMs = Math.max(0, whole.ms - start.ms)
  const expected = dumpRun(undisturbed)
  assert.ok((expected['rollouts']?.length ?? 0) > 2000)
  let kills = 0
  let withWork = 0
  // A machine that has become faster may finish before it is killed often enough: then a further run begins.
  for (let runs = 0; kills < KILLS; runs++) {
    const folder = join(scratch, `killed-${runs}`)
    for (let killed = true; killed && kills < KILLS; ) {
      // A life ends before the run is opened, while it is, or after a fiftieth of the work.
      const result = await live(folder, start.ms * (0.7 + 0.3 * Math.random()) + (Math.random() * 2 * workMs) / 50)
      killed = result.killed
      if (killed) kills++
      if (killed && summaryOf(folder).evaluations > 0) withWork++
    }
    const last = await live(folder, 300_000)
    assert.is(last.code, 0, last.errors)
    const dump = dumpRun(folder)
    assert.equal(Object.keys(dump), Object.keys(expected))
    for (const table of Object.keys(expected)) assert.equal(dump[table], expected[table], `table ${table}`)
  }
  console.log(`killed ${kills} times, ${withWork} times with work on the disk; undisturbed ${(whole.ms / 1000).toFixed(1)} s`)
  assert.ok(withWork >= KILLS / 2)
})

function summaryOf(folder: string): { evaluations: number } {
  try {
    const reader = openRun(folder)
    const summary = reader.summary()
    reader.close()
    return summary
  } catch {
    return { evaluations: 0 } // killed before the run was begun
  }
}

test.after(() => rmSync(scratch, { recursive: true, force: true }))

test.run()

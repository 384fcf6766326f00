/** A run that is damaged is told as damaged, never read as another; a whole one is read wherever it lies. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { runSearch } from '../../../ts/search/runner.ts'
import { omega, omegaOptions } from '../../../ts/search/strategies/omega.ts'
import { findDoor } from '../../../ts/store/driver.ts'
import { openRun } from '../../../ts/store/reader.ts'
import { SqliteRunStore } from '../../../ts/store/sqlite.ts'
import { damaged } from '../../helpers/damage.ts'
import { runIdentity, UNLIMITED } from '../../helpers/search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-damage-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))
const options = omegaOptions.parse({ numRollouts: 4 })
const policy = scriptedPolicy(simulate)
const identity = runIdentity(policy, { options })

const run = join(scratch, 'run')
const store = SqliteRunStore.open({ folder: run, identity })
const budget = { ...UNLIMITED, maxRollouts: 40 }
const problems = [0, 1, 2, 3].map((i) => ({ ...simulatedProblem(i), image: new Uint8Array(600).fill(i + 1) }))
await runSearch({ problems, strategy: omega, options, budget, seed: 7, policy, verifier: simulatedVerifier, store, inFlight: 3 })
await store.close()

/** Everything that can be read of a run, as one number. */
async function contents(folder: string): Promise<string> {
  const reader = openRun(folder)
  try {
    const hash = createHash('sha256').update(JSON.stringify([reader.identity, reader.summary()]))
    for await (const tree of reader.trees()) hash.update(JSON.stringify(tree))
    for await (const found of reader.candidates()) hash.update(JSON.stringify(found))
    return hash.digest('hex')
  } finally {
    reader.close()
  }
}
const whole = await contents(run)

test('damage of every kind is told, or does no harm: by a reader and by a resume', async () => {
  const original = readFileSync(join(run, 'run.db'))
  const told = { same: 0, refused: 0 }
  for (let seed = 0; seed < 160; seed++) {
    const folder = join(scratch, `damaged-${seed}`)
    mkdirSync(folder)
    writeFileSync(join(folder, 'run.db'), damaged(original, seed))
    const read = await contents(folder).catch((error) => error)
    if (read instanceof Error) {
      assert.ok(read instanceof EngineError && read.code === 'ERR_ENGINE_STORE', `seed ${seed}: ${read.stack}`)
      assert.match(read.message, /damaged-\d+/)
      told.refused++
    } else {
      assert.is(read, whole, `seed ${seed}: another run is read`)
      told.same++
    }
    try {
      await SqliteRunStore.open({ folder, identity, resume: true }).close()
    } catch (error) {
      assert.ok(error instanceof EngineError && error.code === 'ERR_ENGINE_STORE', `seed ${seed}: ${(error as Error).stack}`)
    }
    rmSync(folder, { recursive: true })
  }
  assert.ok(told.refused > 60 && told.same > 5, JSON.stringify(told))
})

test('one changed letter of a step, a label, an image or the identity is damage', async () => {
  const cases: [string, RegExp][] = [
    ["UPDATE rollouts SET steps = replace(steps, 'a', 'b') WHERE problem = 1", /problem "sim-1" is not as it was written/],
    ['UPDATE nodes SET correct = correct + 1 WHERE problem = 2 AND correct IS NOT NULL', /problem "sim-2" is not as it was/],
    ['DELETE FROM nodes WHERE problem = 3 AND ordinal = 0', /problem "sim-3" is not as it was written/],
    ["UPDATE problems SET status = 'dome' WHERE ordinal = 0", /3 problems are finished, 4 have a digest/],
    ["UPDATE run SET key = 'digert/0' WHERE key = 'digest/0'", /4 problems are finished, 3 have a digest/],
    ["UPDATE problems SET answer = '1' WHERE ordinal = 0", /problem "sim-0" is not as it was written/],
    ['UPDATE images SET bytes = zeroblob(600)', /the image [0-9a-f]+ is another/],
    ['DELETE FROM images', /the image [0-9a-f]+ is gone/],
    [`UPDATE run SET value = replace(value, '"seed":7', '"seed":8')`, /its identity is not as it was written/],
    ["UPDATE run SET value = '{' WHERE key = 'identity'", /the run is corrupt/],
    ['DROP TABLE nodes', /no such table/],
  ]
  for (const [i, [sql, message]] of cases.entries()) {
    const folder = join(scratch, `changed-${i}`)
    cpSync(run, folder, { recursive: true })
    const db = findDoor().open(join(folder, 'run.db'))
    db.exec(sql)
    db.close()
    const error = await contents(folder).catch((e) => e)
    assert.is(error.code, 'ERR_ENGINE_STORE', sql)
    assert.match(error.message, message, sql)
    assert.match(error.message, /run\.db: the run is corrupt/)
  }
})

test('a run that was closed is one file without a log', () => {
  assert.equal(readdirSync(run).sort(), ['manifest.json', 'run.db', 'run.lock'])
  assert.equal([...readFileSync(join(run, 'run.db')).subarray(18, 20)], [1, 1], 'the header names no log')
})

/** Mounts a file system of that size, or says why not. */
function mounted(name: string, size: string): string | undefined {
  const folder = join(scratch, name)
  mkdirSync(folder)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', folder]).status === 0) return folder
  console.log('skipped: no file system can be mounted here')
  return undefined
}

/** The run as an earlier version, or a copy of a running one, leaves it: its header names a log. */
function withLog(folder: string): void {
  const db = findDoor().open(join(folder, 'run.db'))
  db.exec('PRAGMA journal_mode = WAL')
  db.close()
}

test('a read-only file system: a finished run is read, one with a log too', async () => {
  const mount = mounted('read-only', '8m')
  if (!mount) return
  try {
    const [closed, logged, unfinished] = ['closed', 'logged', 'unfinished'].map((name) => join(mount, name)) as [
      string,
      string,
      string,
    ]
    for (const folder of [closed, logged, unfinished]) cpSync(run, folder, { recursive: true })
    withLog(logged)
    writeFileSync(join(unfinished, 'run.db-wal'), 'what a killed process left')
    withLog(join(unfinished, '../logged'))
    copyFileSync(join(logged, 'run.db'), join(unfinished, 'run.db'))
    assert.is(spawnSync('mount', ['-o', 'remount,ro', mount]).status, 0)
    assert.is(await contents(closed), whole)
    assert.is(await contents(logged), whole)
    const error = await contents(unfinished).catch((e) => e)
    assert.is(error.code, 'ERR_ENGINE_STORE')
    assert.match(error.message, /run\.db-wal.*copy the folder/)
    try {
      SqliteRunStore.open({ folder: closed, identity, resume: true })
      assert.unreachable()
    } catch (refused) {
      assert.is((refused as EngineError).code, 'ERR_ENGINE_STORE')
    }
  } finally {
    spawnSync('umount', [mount])
  }
})

test('a full file system: a finished run is read', async () => {
  const mount = mounted('full', '2m')
  if (!mount) return
  try {
    const [closed, logged] = ['closed', 'logged'].map((name) => join(mount, name)) as [string, string]
    for (const folder of [closed, logged]) cpSync(run, folder, { recursive: true })
    withLog(logged)
    spawnSync('dd', ['if=/dev/zero', `of=${join(mount, 'rest')}`, 'bs=4096'])
    assert.throws(() => writeFileSync(join(mount, 'more'), Buffer.alloc(8192)), /ENOSPC/)
    assert.is(await contents(closed), whole)
    assert.is(await contents(logged), whole)
  } finally {
    spawnSync('umount', [mount])
  }
})

test('a pipe, a folder or a device in the place of the file', () => {
  for (const [i, make] of ['mkfifo', 'mkdir'].entries()) {
    const folder = join(scratch, `strange-${i}`)
    mkdirSync(folder)
    spawnSync(make, [join(folder, 'run.db')])
    for (const open of [() => openRun(folder), () => SqliteRunStore.open({ folder, identity, resume: true })]) {
      try {
        open()
        assert.unreachable(make)
      } catch (error) {
        assert.is((error as EngineError).code, 'ERR_ENGINE_STORE', `${make}: ${(error as Error).message}`)
      }
    }
  }
})

test.run()

/** A run directory: who may write; what is told when a file is not what it should be. What every store does: suite.test.ts. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import type { Problem } from '../../../ts/contracts/problem.ts'
import type { ProblemTree } from '../../../ts/contracts/records.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { runSearch } from '../../../ts/search/runner.ts'
import { omega, omegaOptions } from '../../../ts/search/strategies/omega.ts'
import { Digests, digestKey } from '../../../ts/store/digest.ts'
import { findDoor } from '../../../ts/store/driver.ts'
import { openRun } from '../../../ts/store/reader.ts'
import { migrate } from '../../../ts/store/schema.ts'
import { SqliteRunStore } from '../../../ts/store/sqlite.ts'
import { runIdentity, UNLIMITED } from '../../helpers/search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-store-'))
let folders = 0
const newFolder = () => join(scratch, `run-${folders++}`)
const policy = scriptedPolicy(simulate)
const options = omegaOptions.parse({ numRollouts: 4 })
const identity = runIdentity(policy, { options })

function codeAndMessage(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    const { code, message } = error as EngineError
    return `${code} ${message}`
  }
  return 'nothing was thrown'
}

async function searchInto(folder: string, problems: Problem[], resume = false) {
  const store = SqliteRunStore.open({ folder, identity, resume })
  const budget = { ...UNLIMITED, maxRollouts: 100 }
  try {
    return await runSearch({
      problems,
      strategy: omega,
      options,
      budget,
      seed: 7,
      policy,
      verifier: simulatedVerifier,
      store,
      inFlight: 3,
    })
  } finally {
    await store.close()
  }
}

async function readTrees(folder: string): Promise<ProblemTree[]> {
  const reader = openRun(folder)
  const trees: ProblemTree[] = []
  for await (const tree of reader.trees()) trees.push(tree)
  reader.close()
  return trees
}

test('the manifest tells people and tools what the run is', async () => {
  const folder = newFolder()
  await searchInto(folder, [simulatedProblem(4)])
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))
  assert.equal([manifest.policy.kind, manifest.schemaVersion], ['scripted', 3])
})

test('a run from before problems were kept whole is read as it lies, and taken up', async () => {
  const folder = newFolder()
  const problems = [{ ...simulatedProblem(1), choices: ['1', '101'] }, simulatedProblem(2)]
  await searchInto(folder, problems)
  const before = await readTrees(folder)
  assert.equal(before[0]?.problem.choices, ['1', '101'])
  const db = findDoor().open(join(folder, 'run.db'))
  db.exec('UPDATE problems SET rest = NULL')
  const digests = new Digests(db)
  for (const ordinal of [0, 1]) db.prepare('UPDATE run SET value = ? WHERE key = ?').run(digests.of(ordinal), digestKey(ordinal))
  db.exec('ALTER TABLE problems DROP COLUMN rest; ALTER TABLE candidates DROP COLUMN std; DROP TABLE siblings')
  db.exec('PRAGMA user_version = 1')
  db.close()
  const old = await readTrees(folder)
  assert.equal(
    old.map(({ root }) => root),
    before.map(({ root }) => root),
  )
  assert.is(old[0]?.problem.choices, undefined)
  assert.is((await searchInto(folder, [...problems, simulatedProblem(3)], true)).done, 1)
  assert.is((await readTrees(folder)).length, 3)
})

test('a problem with other options or pictures is another problem', async () => {
  const folder = newFolder()
  const problem = { ...simulatedProblem(1), choices: ['1', '101'], images: ['a.png', new Uint8Array([1])] }
  await searchInto(folder, [problem])
  for (const changed of [
    { ...problem, choices: ['101', '1'] },
    { ...problem, images: ['a.png', new Uint8Array([2])] },
    simulatedProblem(1),
  ]) {
    const refused = await searchInto(folder, [changed], true).catch((error: EngineError) => error)
    assert.match(String(refused), /"sim-1" has another set of options, answers or pictures/)
  }
  assert.is((await searchInto(folder, [problem], true)).done, 0)
})

test('finished problems are not searched again; a run is not overwritten', async () => {
  const folder = newFolder()
  const problems = [simulatedProblem(1), simulatedProblem(2)]
  await searchInto(folder, problems)
  assert.match(
    codeAndMessage(() => SqliteRunStore.open({ folder, identity, resume: false })),
    /ERR_ENGINE_STORE .*holds a run already; resume it/,
  )
  const again = await searchInto(folder, [...problems, simulatedProblem(3)], true)
  assert.equal([again.skipped, again.done], [2, 1])
})

test('opening without a folder or an identity is refused with what would be right', () => {
  for (const options of ['out', { folder: 'out' }, { identity: {} }])
    assert.throws(
      () => SqliteRunStore.open(options as never),
      (e: EngineError) => e.code === 'ERR_ENGINE_INVALID_ARGUMENT' && /takes \{ folder, identity, resume\? \}/.test(e.message),
    )
})

test('another model, template, seed or option is another run', async () => {
  const folder = newFolder()
  await searchInto(folder, [simulatedProblem(1)])
  const changed = { ...identity, seed: 8, policy: { ...identity.policy, modelHash: 'other' } }
  const message = codeAndMessage(() => SqliteRunStore.open({ folder, identity: changed, resume: true }))
  assert.match(message, /ERR_ENGINE_STORE .*policy\.modelHash: "none" → "other"; seed: 7 → 8/)
})

test('the same weights in another folder are the same run', async () => {
  const folder = newFolder()
  await searchInto(folder, [simulatedProblem(1)])
  const moved = { ...identity, policy: { ...identity.policy, model: '/elsewhere' } }
  await SqliteRunStore.open({ folder, identity: moved, resume: true }).close()
})

test('a problem that changed under its id is refused by name', async () => {
  const folder = newFolder()
  await searchInto(folder, [simulatedProblem(1)])
  const store = SqliteRunStore.open({ folder, identity, resume: true })
  const message = codeAndMessage(() => store.begin({ ...simulatedProblem(1), answer: '0' }))
  await store.close()
  assert.match(message, /problem "sim-1" has another answer/)
})

test('two writers are one too many, within a process and between two; readers are welcome', async () => {
  const folder = newFolder()
  await searchInto(folder, [simulatedProblem(1)])
  const store = SqliteRunStore.open({ folder, identity, resume: true })
  assert.match(
    codeAndMessage(() => SqliteRunStore.open({ folder, identity, resume: true })),
    /ERR_ENGINE_STORE .*another process is writing this run/,
  )
  const script = `
    import { lockRun } from ${JSON.stringify(join(import.meta.dirname, '../../../ts/store/lock.ts'))}
    try { lockRun(process.argv[1]); console.log('locked') } catch (error) { console.log(error.code, error.message) }`
  const other = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, folder], {
    encoding: 'utf8',
  })
  assert.match(other.stdout, /ERR_ENGINE_STORE .*another process is writing this run/)
  assert.is((await readTrees(folder)).length, 1)
  await store.close()
  await store.close()
})

test('not a run, another program’s database, a newer schema', async () => {
  assert.match(
    codeAndMessage(() => openRun(newFolder())),
    /ERR_ENGINE_STORE .*there is no run/,
  )
  const folder = newFolder()
  await searchInto(folder, [simulatedProblem(1)])
  const path = join(folder, 'run.db')
  const db = findDoor().open(path)
  db.exec('PRAGMA user_version = 99')
  db.close()
  assert.match(
    codeAndMessage(() => openRun(folder)),
    /ERR_ENGINE_STORE .*schema version 99/,
  )
  assert.match(
    codeAndMessage(() => SqliteRunStore.open({ folder, identity, resume: true })),
    /schema version 99 was written by a newer mm-prm/,
  )
  const foreign = newFolder()
  await searchInto(foreign, [])
  const other = findDoor().open(join(foreign, 'run.db'))
  other.exec('PRAGMA application_id = 1')
  other.close()
  assert.match(
    codeAndMessage(() => SqliteRunStore.open({ folder: foreign, identity, resume: true })),
    /not the database of a run/,
  )
  writeFileSync(join(foreign, 'run.db'), 'plain text, and long enough to look like a header of one hundred bytes '.repeat(20))
  assert.match(
    codeAndMessage(() => SqliteRunStore.open({ folder: foreign, identity, resume: true })),
    /ERR_ENGINE_STORE .*not a database/,
  )
})

test('migrations run one by one, each whole or not at all', () => {
  const path = join(scratch, 'migrate.db')
  const steps = ['CREATE TABLE a (x INTEGER) STRICT;', 'ALTER TABLE a ADD COLUMN y TEXT;']
  const db = findDoor().open(path)
  migrate(db, path, steps.slice(0, 1))
  db.exec('INSERT INTO a (x) VALUES (1)')
  migrate(db, path, steps)
  assert.equal({ ...db.prepare('SELECT * FROM a').get() }, { x: 1, y: null })
  assert.throws(() => migrate(db, path, [...steps, 'ALTER TABLE a ADD COLUMN z TEXT; ALTER TABLE nowhere ADD COLUMN w TEXT;']))
  db.exec('ROLLBACK')
  assert.equal(Object.keys(db.prepare('SELECT * FROM a').get() ?? {}), ['x', 'y'])
  assert.is(db.prepare('PRAGMA user_version').get()?.['user_version'], 2)
  db.close()
})

test('a corrupt page is named, by a resume and by a reader', async () => {
  const folder = newFolder()
  await searchInto(
    folder,
    Array.from({ length: 12 }, (_, i) => simulatedProblem(i)),
  )
  const path = join(folder, 'run.db')
  const checkpoint = findDoor().open(path)
  checkpoint.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  checkpoint.close()
  const file = openSync(path, 'r+')
  const garbage = Buffer.alloc(4096, 0xa5)
  const pages = statSync(path).size / 4096
  assert.ok(pages > 40)
  for (let page = 20; page < pages; page += 3) writeSync(file, garbage, 0, garbage.length, page * 4096)
  assert.match(
    codeAndMessage(() => SqliteRunStore.open({ folder, identity, resume: true })),
    /ERR_ENGINE_STORE .*run\.db.*corrupt/,
  )
  const read = await readTrees(folder).catch((error) => error)
  assert.is(read.code, 'ERR_ENGINE_STORE')
  assert.match(read.message, /run\.db.*corrupt/)
})

test('a full disk stops the run with what was finished kept; it resumes when there is room', async () => {
  const mount = newFolder()
  spawnSync('mkdir', ['-p', mount])
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=768k', 'tmpfs', mount])
  if (mounted.status !== 0) {
    console.log('skipped: no file system of limited size can be mounted here')
    return
  }
  try {
    const folder = join(mount, 'run')
    const problems = Array.from({ length: 30 }, (_, i) => simulatedProblem(i))
    const error = await searchInto(folder, problems).catch((e) => e)
    assert.is(error.code, 'ERR_ENGINE_STORE')
    assert.match(error.message, 'the disk is full')
    const roomy = newFolder()
    spawnSync('mkdir', ['-p', roomy])
    for (const name of ['run.db', 'run.db-wal']) copyFileSync(join(folder, name), join(roomy, name))
    const kept = openRun(roomy)
    const before = kept.summary()
    kept.close()
    assert.ok(before.evaluations > 10)
    await searchInto(roomy, problems, true)
    const whole = newFolder()
    await searchInto(whole, problems)
    assert.equal(await readTrees(roomy), await readTrees(whole))
  } finally {
    spawnSync('umount', [mount])
  }
})

test('without SQLite the error says what to install', () => {
  const doors = {
    'better-sqlite3': () => {
      throw new Error('Cannot find module')
    },
  }
  assert.match(
    codeAndMessage(() => findDoor(doors)),
    /ERR_ENGINE_STORE .*install better-sqlite3 .*Node 22\.13 or later \(better-sqlite3: Cannot find module\)/,
  )
})

test.after(() => rmSync(scratch, { recursive: true, force: true }))

test.run()

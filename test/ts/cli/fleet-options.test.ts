/** What a run records of a command line, and the supervisor of several devices: what needs no database. */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { UsageError } from '../../../ts/cli/command.ts'
import { Rooms } from '../../../ts/cli/rooms.ts'
import { checkDevice, checkIdentity, missingFolder, runValues } from '../../../ts/cli/run-settings.ts'
import { policyError } from '../../../ts/contracts/errors.ts'
import type { RunIdentity } from '../../../ts/contracts/run-store.ts'
import type { Lease } from '../../../ts/contracts/work.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { identityOf } from '../../../ts/search/runner.ts'
import { omega } from '../../../ts/search/strategies/omega.ts'
import { UNLIMITED } from '../../helpers/search.ts'
import { simulate, simulatedVerifier } from '../../helpers/simulated-policy.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-fleet-options-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))

test('paths are recorded whole; names of a hub, of a server and of a judge stay names', () => {
  const folder = join(scratch, 'here')
  mkdirSync(folder)
  writeFileSync(join(scratch, 'scorer.mjs'), '')
  const near = relative(process.cwd(), folder)
  const asked = { model: near, scorer: relative(process.cwd(), join(scratch, 'scorer.mjs')), adapter: [near, 'org/lora'] }
  assert.equal(runValues({ ...asked, reference: near, seed: '3', device: 'cuda:0' }), {
    ...{ model: folder, scorer: join(scratch, 'scorer.mjs'), adapter: [folder, 'org/lora'], reference: folder, seed: '3' },
  })
  assert.is(runValues({ policy: 'openai', model: near }).model, near, 'the name that a server knows')
  for (const scorer of ['critique', 'http://127.0.0.1:8000']) assert.is(runValues({ model: near, scorer }).scorer, scorer)
})

test('what a hub has is not missed; a folder is, by its option', () => {
  assert.is(missingFolder({ model: 'org/name' }), undefined)
  assert.is(missingFolder({ model: 'org/name@v2', scorer: 'org/prm', 'judge-model': 'org/judge' }), undefined)
  assert.is(missingFolder({ policy: 'openai', model: 'any', scorer: 'critique' }), undefined)
  assert.is(missingFolder({ model: '/no/such/folder' }), '--model /no/such/folder')
  assert.is(missingFolder({ model: scratch, adapter: [scratch, '/no/lora'] }), '--adapter /no/lora')
  assert.is(missingFolder({ model: scratch, databases: 'data/bases' }), '--databases data/bases')
})

test('cards work on what a machine without one submitted; another model, or another class of devices, is refused', () => {
  const identity = (modelHash: string, scorer: string | null = null) =>
    ({ seed: 0, strategy: 'omega', options: {}, policy: { modelHash }, verifier: 'rules', scorer }) as unknown as RunIdentity
  const check = (stored: RunIdentity, ours: RunIdentity, deviceClass?: string) => checkIdentity('r', stored, ours, deviceClass)
  check(identity('ab+int8', 'mm-prm@cd'), identity('ab+int8+sm90', 'mm-prm@cd+sm90'), 'sm90')
  check(identity('ab+sm90'), identity('ab+sm90'), 'sm90')
  check(identity('ab'), identity('ab'), 'avx2')
  check(identity('ab'), identity('ab'))
  const refused: [RunIdentity, RunIdentity, string][] = [
    [identity('ab'), identity('ac+sm90'), 'sm90'],
    [identity('ab+sm90'), identity('ab'), 'avx2'],
    [identity('ab+sm90'), identity('ab+sm80'), 'sm80'],
    [identity('ab'), identity('ab+sm900'), 'sm90'],
  ]
  for (const [stored, ours, deviceClass] of refused)
    assert.throws(() => check(stored, ours, deviceClass), /run r: this worker would search otherwise .*policy\.modelHash/)
  checkDevice('r', 'sm90', 'sm90')
  assert.throws(() => checkDevice('r', 'avx2', 'avx512'), /is worked on by avx2, .* avx512 gives other bits; --isa avx2 gives/)
  assert.throws(
    () => checkDevice('r', 'sm90', 'avx2'),
    /is worked on by sm90, .* avx2 gives other bits; a worker on a card of class sm90 goes on with it$/,
  )
})

/** What was written to standard error meanwhile. */
async function saidWhile(work: () => Promise<unknown>): Promise<string> {
  const { write } = process.stderr
  let said = ''
  process.stderr.write = (text) => (said += text) !== ''
  try {
    await work()
  } finally {
    process.stderr.write = write
  }
  return said
}

test('a run that is refused leaves nothing open, unless another run is worked on with it; what is shared is opened once', async () => {
  const policy = scriptedPolicy(simulate)
  const own = { strategy: omega, options: {}, budget: UNLIMITED, seed: 7, policy, verifier: simulatedVerifier }
  const classes: Record<string, string | null> = { good: null, theirs: 'sm90' }
  const identities: Record<string, RunIdentity> = { other: { ...identityOf(own), seed: 8 } }
  const names = ['good', 'theirs', 'other', 'old']
  const computes: string[] = []
  const source = {
    runs: {
      find: async (name: string) => {
        const identity = JSON.stringify(identities[name] ?? identityOf(own))
        return { run: names.indexOf(name), name, row: { settings: '{}', identity } }
      },
      deviceClass: async (run: number) => ({
        deviceClass: classes[names[run] as string] ?? null,
        hasBegun: names[run] === 'old',
      }),
    },
    computesOn: (run: string) => void computes.push(run),
  }
  let [opened, closed] = [0, 0]
  const open = async () => {
    opened++
    return { settings: own, deviceClass: 'avx2', [Symbol.asyncDispose]: async () => void closed++ }
  }
  const rooms = new Rooms(source, {}, open)
  const enter = (run: string) => rooms.settingsOf({ run } as Lease).catch((e) => e.message)
  assert.match(await enter('theirs'), /run theirs: it is worked on by sm90/)
  assert.match(await enter('other'), /run other: this worker would search otherwise .*seed/)
  assert.equal([opened, closed], [2, 2])
  assert.is(await enter('good'), own)
  for (const run of ['theirs', 'other']) assert.match(await enter(run), /^run /, 'without opening it again')
  assert.equal([opened, closed, computes], [3, 2, ['good']])
  const said = await saidWhile(() => enter('old'))
  assert.match(said, /run old: it was begun without a record of which class .* may have other bits than avx2's/)
  assert.is(await saidWhile(() => enter('old')), '', 'once')
  assert.is(opened, 3, 'the settings are those of the first')
  classes['good'] = 'avx512'
  assert.match(await enter('good'), /run good: it is worked on by avx512/, 'since')
  await rooms.close()
  assert.equal([opened, closed], [3, 3])
  let fault: Error = new UsageError('--strategy must be one of …')
  const failing = (run: string) => new Rooms(source, {}, () => Promise.reject(fault)).settingsOf({ run } as Lease).catch((e) => e)
  assert.is(
    (await failing('good')).code,
    'ERR_ENGINE_INVALID_ARGUMENT',
    'the run’s own options are another worker’s to make up for',
  )
  fault = policyError('the scorer is not up yet')
  assert.is(await failing('good'), fault)
})

function supervised(name: string, devices: string, more: string[] = []) {
  const folder = join(scratch, name)
  mkdirSync(folder)
  const script = join(import.meta.dirname, '../../helpers/supervised.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script, folder, devices, ...more], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) =>
    child.once('close', (code) => resolve({ code, stderr })),
  )
  const starts = (device: string) => {
    const file = join(folder, device)
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0
  }
  return { child, ended, starts, said: () => stderr }
}

test('a process that crashes is started again; one that ends by itself is not; each is told', async () => {
  const { ended, starts } = supervised('mixed', 'works,crashes-once,fails')
  const { code, stderr } = await ended
  assert.is(code, 3, stderr)
  assert.equal(['works', 'crashes-once', 'fails'].map(starts), [1, 2, 1])
  assert.match(stderr, /the worker on crashes-once was ended by SIGKILL; it is started again in 0\.02 s/)
  assert.match(stderr, /the worker on fails has ended with exit code 3/)
})

test('one that cannot be started is tried again, and the others are looked after', async () => {
  const { ended, starts } = supervised('short', 'works,crashes-once', ['not-at-first'])
  const { code, stderr } = await ended
  assert.is(code, 0, stderr)
  assert.equal(['works', 'crashes-once'].map(starts), [1, 2])
  assert.match(stderr, /the worker on works could not be started \(spawn \/no\/node ENOENT\); it is started again in 0\.02 s/)
  assert.match(stderr, /the worker on crashes-once was ended by SIGKILL; it is started again/)
})

test('one that crashes again and again is given up; the end of the supervisor is that of all', async () => {
  const { child, ended, starts, said } = supervised('doomed', 'waits,crashes')
  for (let i = 0; i < 600 && !said().includes('given up'); i++) await sleep(50)
  child.kill('SIGTERM')
  const { code, stderr } = await ended
  assert.is(code, 1, stderr)
  assert.is(starts('crashes'), 6)
  assert.match(stderr, /the worker on crashes was ended by SIGKILL again and again: given up/)
  const stopped = supervised('stopped', 'waits,waits')
  for (let i = 0; i < 600 && stopped.starts('waits') < 2; i++) await sleep(50)
  await sleep(300)
  stopped.child.kill('SIGTERM')
  const { code: ends, stderr: words } = await stopped.ended
  assert.is(ends, 0, words)
})

test.run()

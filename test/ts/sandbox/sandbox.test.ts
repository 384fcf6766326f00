/** The sandbox: what comes back of code, what attacks come to, and that nothing is left where its host is killed. */
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { openSandbox } from '../../../ts/sandbox/index.ts'
import { processesWith, tryEscapes } from '../../helpers/escapes.ts'

const HELPER = join(import.meta.dirname, '../../helpers/escapes.ts')
const TSX = ['--import', 'tsx']
/** Files of a user without rights: what it may read of this checkout is for its owner to say. */
const NOBODY = 65_534

const sandbox = await openSandbox({ concurrency: 4 }).catch((error: Error) => error)
const isHere = !(sandbox instanceof Error)
if (!isHere) console.log(`skipped: ${(sandbox as Error).message}`)
const inSandbox = isHere ? test : test.skip
const run = (request: Parameters<Exclude<typeof sandbox, Error>['run']>[0], signal?: AbortSignal) => {
  if (sandbox instanceof Error) throw sandbox
  return sandbox.run(request, signal)
}

inSandbox('what code prints comes back, with the error that it ended with', async () => {
  assert.equal(await run({ code: 'print(1)\nprint(2, end="")' }), { outcome: 'ended', output: '1\n2' })
  assert.equal(await run({ code: 'print(1)\nx' }), {
    outcome: 'failed',
    output: "1\nNameError: name 'x' is not defined\n",
  })
  assert.equal((await run({ code: 'for' })).outcome, 'failed')
  assert.equal(await run({ code: 'import sys\nsys.exit(3)' }), { outcome: 'failed', output: '' })
  assert.equal(await run({ code: 'import sys\nsys.stderr.write("warned")' }), { outcome: 'ended', output: 'warned' })
  assert.equal(await run({ code: 'print(input())' }), { outcome: 'failed', output: 'EOFError: EOF when reading a line\n' })
})

inSandbox('a namespace lives on: earlier blocks are run before, without their output and their errors', async () => {
  const before = ['x = 3\nprint("said")', 'y = 1 / 0', 'import sys\nsys.exit(1)', 'def twice(a):\n  return 2 * a']
  assert.equal(await run({ before, code: 'print(twice(x), "y" in globals())' }), { outcome: 'ended', output: '6 False\n' })
  const alone = await Promise.all([1, 2, 3].map((n) => run({ code: `open("f", "x").write("a")\nprint(${n})` })))
  assert.equal(
    alone.map((r) => r.output),
    ['1\n', '2\n', '3\n'],
    'every run has an empty folder',
  )
})

inSandbox('limits: time, output, memory; an abort ends it', async () => {
  assert.equal(await run({ code: 'while True: pass', limits: { seconds: 0.5 } }), { outcome: 'time', output: '' })
  const much = await run({ code: 'while True: print("x")', limits: { outputBytes: 10 } })
  assert.equal(much, { outcome: 'output', output: 'x\n'.repeat(5) })
  const abort = new AbortController()
  setTimeout(() => abort.abort(), 300)
  const error = await run({ code: 'while True: pass', limits: { seconds: 30 } }, abort.signal).catch((e) => e)
  assert.instance(error, EngineError)
  assert.is(error.code, 'ERR_ENGINE_ABORTED')
})

inSandbox('every attempt to escape is contained', async () => {
  if (sandbox instanceof Error) throw sandbox
  const { tried, escaped } = await tryEscapes(sandbox)
  console.log(`${tried.length} attempts, ${escaped.length} not contained`)
  assert.ok(tried.length >= 45)
  assert.equal(escaped, [])
})

const asNobody = { uid: NOBODY, gid: NOBODY, env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' }, encoding: 'utf8' as const }
const isRoot = process.getuid?.() === 0
const nobodyRuns = isRoot && spawnSync(process.execPath, [...TSX, HELPER], asNobody).status === 0
if (isHere && isRoot && !nobodyRuns) console.log('skipped: another user may not read this checkout')
const unprivileged = isHere && nobodyRuns ? test : test.skip

unprivileged('nor does a user without rights get more', () => {
  const { stdout, stderr } = spawnSync(process.execPath, [...TSX, HELPER, 'run'], { ...asNobody, timeout: 120_000 })
  assert.match(stdout, /^\{/, stderr)
  const { tried, escaped } = JSON.parse(stdout)
  console.log(`${tried.length} attempts of a user without rights, ${escaped.length} not contained`)
  assert.equal(escaped, [])
})

inSandbox('where its host is killed, what runs ends too', async () => {
  const mark = `7${process.pid}${Date.now() % 1e6}`
  const code = `import os\nif os.fork() == 0: os.setsid()\nos.execvp("sleep", ["sleep", "${mark}"])`
  const program = `import { openSandbox } from ${JSON.stringify(join(import.meta.dirname, '../../../ts/sandbox/index.ts'))}
    const sandbox = await openSandbox()
    await sandbox.run({ code: ${JSON.stringify(code)}, limits: { seconds: 60 } })`
  const host = spawn(process.execPath, [...TSX, '--input-type=module', '-e', program], { stdio: 'inherit' })
  const until = async (count: number) => {
    for (let i = 0; i < 300 && processesWith(`sleep ${mark}`).length !== count; i++) await sleep(100)
    return processesWith(`sleep ${mark}`).length
  }
  assert.is(await until(2), 2)
  host.kill('SIGKILL')
  assert.is(await until(0), 0)
})

test('where none can be made, the reason is told', async () => {
  const path = process.env['PATH']
  process.env['PATH'] = '/nowhere'
  const error = await openSandbox().catch((e) => e)
  process.env['PATH'] = path
  assert.match(String(error.message), /code cannot be run here: (python3: |a sandbox is needed)/)
})

test.run()

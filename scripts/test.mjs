#!/usr/bin/env node
// Runs the uvu test files, each in a process of its own, and the native tests; ends with the line `N passed, N failed`.
//
//   node scripts/test.mjs [--timeout SECONDS] [--device NAME] [FILE|FOLDER…]
//
// Default: every *.test.ts under test/, and the native tests. --device: where golden models run (MM_PRM_DEVICE); what an
// emulated one needs is built.
//
// WHY not uvu's own runner: it exits 0 when no test ran and when a hook threw, waits forever for a test that
// never settles, and a native crash would end the whole run. Here each of these is a failure of that file.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')
// The emulated CUDA device switches stacks in x86-64's own words.
const NATIVE_TESTS =
  process.arch === 'x64' ? ['native_test', 'cuda_test', 'cuda_device_test', 'cuda_bugs', 'conformance_dry_run'] : ['native_test']
const { values, positionals: named } = parseArgs({
  options: { timeout: { type: 'string', default: '900' }, device: { type: 'string' } },
  allowPositionals: true,
})
const TIMEOUT_MS = Number(values.timeout) * 1000
const PARALLEL = Math.min(2, availableParallelism())
if (values.device !== undefined) process.env.MM_PRM_DEVICE = values.device
// Commands run as they are installed: compiled they start three times faster than from their sources.
const needed = process.env.MM_PRM_DEVICE === 'emulated' ? ['tests', 'ts'] : ['ts']
const { status } = spawnSync(process.execPath, [join(root, 'scripts/ensure-built.mjs'), ...needed], { stdio: 'inherit' })
if (status !== 0) process.exit(1)

function testFiles(path) {
  if (!existsSync(path)) throw new Error(`no such file or folder: ${path}`)
  if (!statSync(path).isDirectory()) return [path]
  const names = readdirSync(path, { recursive: true }).filter((name) => name.endsWith('.test.ts'))
  return names.sort().map((name) => join(path, name))
}

const running = new Set()
/** A test's own children too: it leads a process group. */
const killGroup = (child) => process.kill(-child.pid, 'SIGKILL')
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    for (const child of running) killGroup(child)
    process.exit(130)
  })
}

/** Runs one command; resolves to its output and how it ended. */
function run(command, args) {
  return new Promise((resolve) => {
    const began = performance.now()
    const child = spawn(command, args, { cwd: root, env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' }, detached: true })
    running.add(child)
    let output = ''
    let ending = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    const timer = setTimeout(() => {
      ending = `timed out after ${TIMEOUT_MS / 1000} s`
      killGroup(child)
    }, TIMEOUT_MS)
    child.on('error', (error) => (ending = error.message))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      if (!ending && code !== 0) ending = signal ? `died of ${signal}` : `exit code ${code}`
      resolve({ output, ending, seconds: (performance.now() - began) / 1000 })
    })
  })
}

/** What uvu's summary says: a hook that threw shows only as fewer passed than there are. */
function readUvu(output) {
  const numbers = /\n {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)/.exec(output)
  if (!numbers) return { passed: 0, failed: 0, skipped: 0, problem: 'ended without a summary' }
  const [total, passed, skipped] = numbers.slice(1).map(Number)
  return { passed, failed: total - passed, skipped, problem: total + skipped === 0 ? 'no test ran' : '' }
}

function readNative(output) {
  const numbers = /^(\d+) passed, (\d+) failed$/m.exec(output)
  if (!numbers) return { passed: 0, failed: 0, skipped: 0, problem: 'ended without a summary' }
  return { passed: Number(numbers[1]), failed: Number(numbers[2]), skipped: 0, problem: '' }
}

const UVU_LINE = /^(?:.*\(\d+ \/ \d+\)| {2}(?:Total|Passed|Skipped|Duration): .*|\s*)$/
/** What a passing file printed by itself, without uvu's marks. */
const ownLines = (output) =>
  output
    .split('\n')
    .filter((line) => !UVU_LINE.test(line))
    .map((line) => line.replace(/^ *(?:[•✘] )+/, ''))

async function runOne({ name, command, args, read }) {
  const { output, ending, seconds } = await run(command, args)
  const counts = read(output)
  const problem = ending && counts.failed > 0 && ending === 'exit code 1' ? counts.problem : ending || counts.problem
  if (problem && counts.failed === 0) counts.failed = 1
  const numbers = `${counts.passed} passed, ${counts.failed} failed${counts.skipped ? `, ${counts.skipped} skipped` : ''}`
  const bad = counts.failed > 0
  console.log(`${bad ? 'FAIL' : 'ok  '} ${name}: ${numbers}${problem ? ` (${problem})` : ''}, ${seconds.toFixed(1)} s`)
  const lines = bad ? output.trimEnd().split('\n') : ownLines(output)
  if (lines.length > 0) console.log(lines.map((line) => `     ${line}`).join('\n'))
  return counts
}

const files = (named.length > 0 ? named : ['test']).flatMap((path) => testFiles(join(root, path)))
const jobs = files.map((file) => ({
  name: relative(root, file),
  command: process.execPath,
  args: ['--import', 'tsx', file],
  read: readUvu,
}))
if (named.length === 0) {
  for (const name of NATIVE_TESTS) jobs.push({ name, command: join(root, 'build/tests', name), args: [], read: readNative })
}

const sum = { passed: 0, failed: 0, skipped: 0 }
const queue = jobs.values()
await Promise.all(
  Array.from({ length: PARALLEL }, async () => {
    for (const job of queue) {
      const counts = await runOne(job)
      for (const key of Object.keys(sum)) sum[key] += counts[key]
    }
  }),
)
if (jobs.length === 0) sum.failed = 1
if (sum.skipped > 0) console.log(`${sum.skipped} skipped`)
console.log(`${sum.passed} passed, ${sum.failed} failed`)
process.exitCode = sum.failed > 0 ? 1 : 0

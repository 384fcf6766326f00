/** Output into a pipe that closes early, or onto a full disk: a word where somebody may read it, and never a trace. */
import { spawn } from 'node:child_process'
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const PRM = join(import.meta.dirname, '../../models/mini-prm')
const folder = mkdtempSync(join(tmpdir(), 'mm-prm-pipe-'))
test.after(() => rmSync(folder, { recursive: true }))

const MANY = 4000
function file(name: string, row: (i: number) => object, count = MANY): string {
  writeFileSync(join(folder, name), Array.from({ length: count }, (_, i) => `${JSON.stringify(row(i))}\n`).join(''))
  return join(folder, name)
}

const scored = file('scored.jsonl', (i) => ({ id: `item-${i}`, scores: [[0.1], [0.2]] }))
const pairs = file('pairs.jsonl', (i) => ({ id: i, gold: `${i}`, pred: `${i}` }))
const questions = file('questions.jsonl', (i) => ({ id: i, question: '2+3', steps: ['2+3=5'] }), 200)
const problems = file('problems.jsonl', (i) => ({ id: `${i}`, question: `What is ${i} + 1?`, answer: `${i + 1}` }))

/** Reads a first piece of the output and closes the pipe; resolves to how the command ended. */
function readLittle(args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args])
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  child.stdout.once('data', () => child.stdout.destroy())
  return new Promise<{ code: number | null; signal: string | null; stderr: string }>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stderr }))
  })
}

const COMMANDS: [string, string[]][] = [
  ['select', ['select', '--input', scored, '--per-item']],
  ['select --json', ['select', '--input', scored, '--per-item', '--json']],
  ['verify', ['verify', '--input', pairs]],
  ['score', ['score', '--input', questions, '--model', PRM]],
  ['curate', ['curate', '--input', problems, '--output', join(folder, 'kept.jsonl')]],
  ['inspect', ['inspect', PRM]],
  ['--help', ['--help']],
]

for (const [name, args] of COMMANDS) {
  test(`${name}: a reader that goes away ends it without a word`, async () => {
    const { code, signal, stderr } = await readLittle(args)
    assert.is(signal, null)
    assert.ok(code === 0 || code === 1, `exit code ${code}`)
    assert.not.match(stderr, /EPIPE|Unhandled|\bat .*:\d+:\d+/)
  })
}

const onLinux = process.platform === 'linux' ? test : test.skip
onLinux('a full disk behind standard output is told in one line', async () => {
  const full = openSync('/dev/full', 'w')
  const child = spawn(process.execPath, [MAIN, 'inspect', PRM], { stdio: ['ignore', full, 'pipe'] })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text) => (stderr += text))
  const code = await new Promise((resolve) => child.on('close', resolve))
  assert.is(code, 1)
  assert.match(stderr, /^mm-prm: cannot write to standard output: ENOSPC[^\n]*\n$/)
})

test.run()

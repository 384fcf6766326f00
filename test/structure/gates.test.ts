/** The test runner itself: a run that measured nothing, or ended early, must not look like a passing one. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = join(import.meta.dirname, '../..')
const UVU = `import { suite, test } from 'uvu'\n`

/** The runner's exit code and last line over one test file with this content. */
function runnerOn(content: string | undefined): { code: number | null; last: string; output: string } {
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, 'build/gate-'))
  try {
    if (content !== undefined) writeFileSync(join(folder, 'one.test.ts'), content)
    const args = ['scripts/test.mjs', '--timeout', '3', relative(ROOT, folder)]
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })
    return { code: status, last: stdout.trimEnd().split('\n').at(-1) ?? '', output: stdout }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const FAILING: Record<string, string | undefined> = {
  'no test file': undefined,
  'a file without tests': '',
  'tests that were never run': `${UVU}test('a', () => {})`,
  'a suite without tests': `${UVU}test.run()`,
  'a hook that throws': `${UVU}test.before(() => { throw new Error('no') })\ntest('a', () => {})\ntest.run()`,
  'an after hook that throws': `${UVU}test.after(() => { throw new Error('no') })\ntest('a', () => {})\ntest.run()`,
  'a test that throws': `${UVU}test('a', () => { throw new Error('no') })\ntest.run()`,
  'a test that never settles': `${UVU}test('a', () => new Promise(() => {}))\ntest.run()`,
  'a test that hangs': `${UVU}test('a', () => new Promise((r) => setTimeout(r, 60_000)))\ntest.run()`,
  'a process that aborts': `${UVU}test('a', () => process.abort())\ntest.run()`,
  'a process that exits 0 early': `${UVU}test('a', () => process.exit(0))\ntest.run()`,
  'an error after the summary': `${UVU}test('a', () => { setTimeout(() => { throw new Error('late') }, 100) })\ntest.run()`,
  'a file that does not load': `${UVU}import './nothing.ts'\ntest('a', () => {})\ntest.run()`,
}

for (const [name, content] of Object.entries(FAILING)) {
  test(`${name} is a failure`, () => {
    const { code, last } = runnerOn(content)
    assert.match(last, /^0 passed, 1 failed$|^1 passed, 1 failed$/)
    assert.is(code, 1)
  })
}

test('a file whose only test is skipped passes, but as skipped', () => {
  const { code, output } = runnerOn(`${UVU}test.skip('a', () => {})\ntest.run()`)
  assert.match(output, /0 passed, 0 failed, 1 skipped/)
  assert.is(code, 0)
})

test('passing and skipped tests are counted', () => {
  const { code, last, output } = runnerOn(`${UVU}test('a', () => {})\ntest('b', () => {})\ntest.skip('c', () => {})\ntest.run()`)
  assert.is(last, '2 passed, 0 failed')
  assert.match(output, /^1 skipped$/m)
  assert.is(code, 0)
})

test.run()

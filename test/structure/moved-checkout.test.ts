/** A build tree that CMake made in another place is made anew; one of this place is kept. With a stand-in for CMake. */
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = join(import.meta.dirname, '../..')
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-moved-'))
test.after(() => rmSync(scratch, { recursive: true }))

const bin = join(scratch, 'bin')
mkdirSync(bin)
writeFileSync(join(bin, 'cmake'), '#!/bin/sh\nexit 0\n')
chmodSync(join(bin, 'cmake'), 0o755)

/** Whether a build keeps what lies in a tree whose cache names these places. */
function keeps(name: string, home: string, cacheDir?: string): boolean {
  const work = join(scratch, name)
  mkdirSync(work)
  const lines = [`CMAKE_HOME_DIRECTORY:INTERNAL=${home}`, `CMAKE_CACHEFILE_DIR:INTERNAL=${cacheDir ?? work}`]
  writeFileSync(join(work, 'CMakeCache.txt'), `# a comment\n${lines.join('\n')}\nCMAKE_BUILD_TYPE:STRING=Release\n`)
  const args = ['scripts/native.cjs', 'tests', '--sanitize=address', '--dir', work]
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` }
  assert.is(spawnSync(process.execPath, args, { cwd: ROOT, env }).status, 0)
  return existsSync(join(work, 'CMakeCache.txt'))
}

test('a tree of this checkout is kept, by whatever path', () => {
  assert.ok(keeps('same', ROOT))
  const link = join(scratch, 'link')
  symlinkSync(ROOT, link)
  assert.ok(keeps('linked', link))
})

test('a tree of a checkout that was moved, copied or renamed is made anew', () => {
  assert.not.ok(keeps('moved', join(scratch, 'gone')))
  mkdirSync(join(scratch, 'other'))
  assert.not.ok(keeps('copied', join(scratch, 'other')))
  assert.not.ok(keeps('tree copied', ROOT, join(scratch, 'other')))
  assert.not.ok(keeps('tree moved', ROOT, join(scratch, 'gone')))
})

test.run()

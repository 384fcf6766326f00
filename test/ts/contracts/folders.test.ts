import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { makeFolder } from '../../../ts/contracts/folders.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-folders-'))
test.after(() => rmSync(folder, { recursive: true }))

const refused = (error: unknown) => error instanceof EngineError && error.code === 'ERR_ENGINE_STORE'

test('what is missing above a folder is made with it; making it again changes nothing', () => {
  const deep = join(folder, 'a', 'b', 'c')
  makeFolder(deep)
  assert.ok(statSync(deep).isDirectory())
  writeFileSync(join(deep, 'kept'), '')
  makeFolder(deep)
  assert.ok(existsSync(join(deep, 'kept')))
})

test('a file in the way is named, at the end of the path and within it', () => {
  const file = join(folder, 'file')
  writeFileSync(file, '')
  assert.throws(() => makeFolder(file), refused)
  assert.throws(() => makeFolder(join(file, 'below', 'it')), refused)
})

// Node's own recursive mkdir does not come back from this one.
if (process.platform === 'linux') {
  test('a file system that refuses folders is an error', () => {
    assert.throws(() => makeFolder('/proc/mm-prm/run'), refused)
  })
}

test.run()

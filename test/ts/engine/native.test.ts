/** What a user reads where no addon loads, and what is said of GPUs where it does. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { findCards } from '../../../ts/engine/devices.ts'
import { loadNative, nativePath } from '../../../ts/engine/native.ts'

const MODULE = new URL('../../../ts/engine/native.ts', import.meta.url).href
const SCRIPT = `const { loadNative } = await import(${JSON.stringify(MODULE)})
try { loadNative() } catch (error) { console.log(JSON.stringify({ name: error.name, code: error.code, message: error.message })) }`

/** What loading throws when the addon is looked for in `folder`. */
function failureIn(folder: string): { name: string; code: string; message: string } {
  const env = { ...process.env, MM_PRM_PREBUILD: folder }
  const run = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', SCRIPT], { env, encoding: 'utf8' })
  assert.is(run.status, 0, run.stderr)
  return JSON.parse(run.stdout)
}

test('a missing and a broken addon are told with how to build it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-native-'))
  try {
    const missing = failureIn(folder)
    assert.is(missing.name, 'EngineError')
    assert.is(missing.code, 'ERR_ENGINE_INTERNAL')
    assert.match(missing.message, /no native addon for .*build\/Release.*scripts\/native\.cjs build/)
    assert.ok(missing.message.includes(folder))
    mkdirSync(join(folder, 'build/Release'), { recursive: true })
    writeFileSync(join(folder, 'build/Release/mm_prm.node'), 'not a library')
    assert.match(failureIn(folder).message, /mm_prm\.node does not load: .*scripts\/native\.cjs build/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('cards are listed, or why none can be used', () => {
  assert.ok(loadNative().probe().isas.includes(loadNative().probe().isa))
  assert.match(nativePath(), /\.node$/)
  const { devices, library, reason } = findCards()
  if (devices.length > 0) {
    assert.is(reason, null)
    for (const { kind, name } of devices) assert.ok(kind === 'cuda' && name !== '')
  } else {
    assert.match(reason ?? '', library ? /./ : /@mm-prm\/cuda-.* is not installed/)
  }
})

test.run()

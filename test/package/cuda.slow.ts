/** The package of cards beside the tarball, in an empty folder: found, loaded, and its reason told where no card can be used. */
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { Installation, runNode } from '../helpers/packed.ts'

const ROOT = join(import.meta.dirname, '../..')
const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const MAX_BYTES = 24 * 2 ** 20
const HAS_DRIVER = /libcuda\.so\.1/.test(spawnSync('ldconfig', ['-p'], { encoding: 'utf8' }).stdout ?? '')
const packed = new Installation({ prebuild: true })
process.on('exit', () => packed.remove())

const built = runNode([join(ROOT, 'scripts/cuda-package.mjs')], ROOT)
const tarball = /^\/.*\.tgz$/m.exec(built.output)?.[0] ?? ''

/** What `mm-prm doctor` says of cards in the project. */
function cards(): { devices: unknown[]; library: string | null; reason: string | null } {
  const { code, output } = runNode([join(packed.installed, 'dist/cli/main.js'), 'doctor', '--json'], packed.project, packed.bin)
  assert.is(code, 0, output)
  return JSON.parse(output).cards
}

/** How opening a model on a device ends. */
function opened(device: string): { code?: string; message?: string; device?: { kind: string; why: string } } {
  const program = `
    import { Engine } from 'mm-prm'
    const opened = await Engine.open({ model: ${JSON.stringify(MODEL)}, device: '${device}' }).catch((error) => error)
    console.log(JSON.stringify(opened instanceof Error ? { code: opened.code, message: opened.message } : { device: opened.info().device }))
    await opened.close?.()`
  const { code, output } = packed.run(`open-${device}.mjs`, program, packed.bin)
  assert.is(code, 0, output)
  return JSON.parse(output)
}

test('the package is built and packed', () => {
  assert.is(built.code, 0, built.output)
  assert.match(tarball, /mm-prm-cuda-linux-x64-[\d.]+\.tgz$/)
  const bytes = statSync(tarball).size
  assert.ok(bytes < MAX_BYTES, `${tarball} has ${bytes} bytes`)
  const manifest = JSON.parse(readFileSync(join(dirname(tarball), 'package.json'), 'utf8'))
  assert.is(manifest.version, JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version)
})

test('without it doctor names the package, with it the library', () => {
  assert.is(packed.install(packed.bin).code, 0)
  assert.match(cards().reason ?? '', /@mm-prm\/cuda-linux-x64 is not installed/)
  const missing = opened('cuda')
  assert.is(missing.code, 'ERR_ENGINE_NO_DEVICE')
  assert.match(missing.message ?? '', /@mm-prm\/cuda-linux-x64 is not installed/)
  const { code, output } = packed.install(packed.bin, tarball)
  assert.is(code, 0, output)
  const { library, devices, reason } = cards()
  assert.is(library, join(packed.project, 'node_modules/@mm-prm/cuda-linux-x64/mm_prm_cuda.so'))
  assert.is(devices.length > 0, reason === null)
  if (!HAS_DRIVER) assert.match(reason ?? '', /no driver: libcuda\.so\.1 is not on this machine; NVIDIA driver R580 or later/)
})

test('an engine says the same, and auto goes on with the CPU', () => {
  if (cards().devices.length > 0) return
  const refused = opened('cuda')
  assert.is(refused.code, 'ERR_ENGINE_NO_DEVICE')
  assert.ok(refused.message?.includes(cards().reason as string), refused.message)
  const { device } = opened('auto')
  assert.is(device?.kind, 'cpu')
  assert.ok(device?.why.includes(cards().reason as string), device?.why)
})

test.run()

/** The tarball on a machine without a compiler: installs without scripts, loads, scores. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { Installation, runNode, scoringProgram } from '../helpers/packed.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const packed = new Installation({ prebuild: true })
process.on('exit', () => packed.remove())

test('installs with nothing but node and a shell on PATH', () => {
  assert.equal(readdirSync(packed.bin).sort(), ['env', 'node', 'sh'])
  const { code, output } = packed.install(packed.bin)
  assert.is(code, 0, output)
  assert.not.match(output, /node-gyp|allow-scripts|warn/i)
})

test('holds what running and a build from source need, and no more', () => {
  const files = readdirSync(packed.installed, { recursive: true, encoding: 'utf8' })
  const wanted = ['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'CMakeLists.txt', 'binding.gyp', 'scripts/native.cjs']
  for (const name of [...wanted, 'src/addon.cc', 'native/kernels/ops.def', `prebuilds/${process.platform}-${process.arch}`]) {
    assert.ok(files.includes(name), name)
  }
  assert.equal(
    files.filter((name) => /tsbuildinfo|^(test|bench|ts|build)\//.test(name)),
    [],
  )
})

test('scores a golden checkpoint, imported and required', () => {
  const { code, output } = packed.run('score.mjs', scoringProgram(MODEL), packed.bin)
  assert.is(code, 0, output)
  const { scores, expected } = JSON.parse(output)
  assert.is(scores.length, expected.length)
  expected.flat().forEach((score: number, i: number) => assert.ok(Math.abs(scores.flat()[i] - score) < 1e-5))
  const required = packed.run('required.cjs', `console.log(typeof require('mm-prm').Engine.open)`, packed.bin)
  assert.is(required.output, 'function\n')
})

test('the command runs, on the prebuilt addon', () => {
  const main = join(packed.installed, 'dist/cli/main.js')
  const { code, output } = runNode([main, 'doctor', '--json'], packed.project, packed.bin)
  assert.is(code, 0, output)
  assert.match(JSON.parse(output).addon, /mm-prm\/prebuilds\/[\w-]+\/mm-prm\.\w+\.node$/)
})

test.run()

/** The tarball without a prebuild: its own sources build with CMake, and what they built scores. Takes a full compile. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pickCheckpoint } from '../helpers/checkpoint-files.ts'
import { Installation, runNode, scoringProgram } from '../helpers/packed.ts'

const MODEL = pickCheckpoint({ kind: 'scoreSolutions' })
const packed = new Installation({ prebuild: false })
process.on('exit', () => packed.remove())

test('builds from the installed sources and scores', () => {
  const path = process.env['PATH'] ?? ''
  assert.is(packed.install(path).code, 0)
  const missing = packed.run('score.mjs', scoringProgram(MODEL), path)
  assert.not.equal(missing.code, 0)
  assert.match(missing.output, /scripts\/native\.cjs build/, 'the error names the way out')
  // A cache of compilations, where one is in use, knows these sources: it calls files by what lies below.
  process.env['CCACHE_BASEDIR'] = packed.installed
  const built = runNode([join(packed.installed, 'scripts/native.cjs'), 'build'], packed.project)
  assert.is(built.code, 0, built.output)
  const { code, output } = packed.run('score.mjs', scoringProgram(MODEL), path)
  assert.is(code, 0, output)
  const { scores, expected } = JSON.parse(output)
  expected.flat().forEach((score: number, i: number) => assert.ok(Math.abs(scores.flat()[i] - score) < 1e-5))
})

test.run()

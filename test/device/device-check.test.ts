/** The program that runs golden models where there is no Node, on the processor: all of them, and past one that is broken. */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const root = join(import.meta.dirname, '../..')
const models = readdirSync(join(root, 'test/golden/models'))
const folder = mkdtempSync(join(tmpdir(), 'mm-prm-device-check-'))

interface Result {
  compared: number
  failures: string[]
  leftOut: string[]
  runs: { model: string; weights: string; cases: number; failed: number }[]
}

function check(...options: string[]): { status: number | null; result: Result } {
  const json = join(folder, 'result.json')
  const program = join(root, 'build/tests/device_check')
  const { status, error } = spawnSync(program, ['--device', 'cpu', '--json', json, ...options], { cwd: root })
  if (error) throw error
  return { status, result: JSON.parse(readFileSync(json, 'utf8')) }
}

const test = suite('device_check')
test.after(() => rmSync(folder, { recursive: true }))

test('every golden model gives what the trusted implementations gave, in bf16 what it gives in f32', () => {
  const { status, result } = check('--weights', 'f32,bf16')
  assert.equal(result.failures, [])
  assert.equal(result.leftOut, [])
  assert.is(status, 0)
  for (const weights of ['f32', 'bf16']) {
    const ran = result.runs.filter((run) => run.weights === weights)
    assert.equal(ran.map((run) => run.model).sort(), [...models].sort())
    for (const run of ran) assert.ok(run.cases > 0, run.model)
  }
})

test('a model that cannot be read fails alone; other bits than the recorded ones fail', () => {
  const golden = join(folder, 'golden')
  mkdirSync(join(golden, 'models'), { recursive: true })
  for (const model of ['llama3', 'qwen2_5_vl', 'skywork-qwen2'])
    cpSync(join(root, 'test/golden/models', model), join(golden, 'models', model), { recursive: true })
  const picture = join(golden, 'models/qwen2_5_vl/image-1.png')
  writeFileSync(picture, readFileSync(picture).subarray(0, 300))
  const hashes = join(folder, 'hashes.txt')
  check('--golden', golden, '--weights', 'f32', '--record', hashes)
  writeFileSync(hashes, readFileSync(hashes, 'utf8').replace(/ \w{16} (\w{16} f32 skywork)/, ' 0123456789abcdef $1'))
  const { status, result } = check('--golden', golden, '--weights', 'f32', '--hashes', hashes)
  assert.is(status, 1)
  assert.equal(
    result.runs.map((run) => [run.model, run.failed]),
    [
      ['llama3', 0],
      ['skywork-qwen2', 1],
    ],
  )
  assert.is(result.failures.length, 2)
  assert.match(result.failures[0] as string, /image-1\.png: .*PNG|compressed pixels/)
  assert.match(result.failures[1] as string, /skywork-qwen2 f32: hash \w+, the emulator gave 0123456789abcdef/)
})

test.run()

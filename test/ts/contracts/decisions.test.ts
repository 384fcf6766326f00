import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DecisionFile } from '../../../ts/contracts/decisions.ts'
import { EngineError } from '../../../ts/contracts/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-decisions-'))
test.after(() => rmSync(folder, { recursive: true }))

let count = 0
function some(): string {
  const file = join(folder, `${count++}.jsonl`)
  const decisions = new DecisionFile<number | null>(file, { judge: 'a' }, false)
  decisions.keep('ä', 1)
  decisions.keep('b', null)
  return file
}
const refused = (what: RegExp) => (error: unknown) =>
  error instanceof EngineError && error.code === 'ERR_ENGINE_STORE' && what.test(error.message)
const resume = (file: string, settings: unknown = { judge: 'a' }) => new DecisionFile<number | null>(file, settings, true)

test('what was decided is known after a resume, null too, and stays in the file until the work is complete', () => {
  const file = some()
  const decisions = resume(file)
  assert.equal([decisions.find('ä'), decisions.find('b'), decisions.find('c')], [1, null, undefined])
  decisions.keep('c', 3)
  assert.is(resume(file).find('c'), 3)
  decisions.remove()
  assert.not.ok(existsSync(file))
})

test('a last line without its end is dropped, and what comes next starts a line of its own', () => {
  const file = some()
  const whole = readFileSync(file, 'utf8')
  appendFileSync(file, '["c",')
  const decisions = resume(file)
  assert.is(readFileSync(file, 'utf8'), whole)
  decisions.keep('d', 4)
  assert.is(resume(file).find('d'), 4)
})

test('a first line without its end is a file that holds nothing', () => {
  const file = some()
  truncateSync(file, 7)
  assert.is(resume(file).find('ä'), undefined)
  assert.not.ok(existsSync(file))
})

test('work that was not to be resumed, other settings and damaged lines are refused', () => {
  const file = some()
  assert.throws(() => new DecisionFile(file, { judge: 'a' }, false), refused(/--resume goes on with it/))
  assert.throws(() => resume(file, { judge: 'b' }), refused(/of other settings/))
  writeFileSync(file, readFileSync(file, 'utf8').replace('["b",null]', '["b"'))
  assert.throws(() => resume(file), refused(/line 3 is damaged/))
})

test('long decisions are held by the file, not by memory', () => {
  setFlagsFromString('--expose_gc')
  const collect = runInNewContext('gc') as () => void
  const held = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const file = join(folder, 'long.jsonl')
  const text = (i: number) => `${i} ä `.repeat(100_000)
  const before = held()
  const decisions = new DecisionFile<string>(file, {}, false)
  for (let i = 0; i < 40; i++) decisions.keep(`k${i}`, text(i))
  assert.ok(held() - before < 4e6, 'as it is written')
  const again = new DecisionFile<string>(file, {}, true)
  assert.ok(held() - before < 4e6, 'as it is read again')
  for (const i of [0, 17, 39]) assert.is(again.find(`k${i}`), text(i))
  assert.is(decisions.find('k39'), text(39))
})

test('a folder in its place is named', () => {
  assert.throws(() => resume(folder), refused(/cannot read .*EISDIR/))
})

test.run()

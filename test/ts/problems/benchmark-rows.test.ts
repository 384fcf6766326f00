/** Rows as benchmarks store them: ids, answers, options and pictures under their usual names. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Problem } from '../../../ts/contracts/problem.ts'
import { readProblems } from '../../../ts/problems/index.ts'

const test = suite('benchmark rows')
const folder = mkdtempSync(join(tmpdir(), 'mm-prm-rows-'))
test.after(() => rmSync(folder, { recursive: true, force: true }))

async function read(row: object, maxPictures?: number): Promise<Problem | { error: string }> {
  const path = join(folder, 'rows.jsonl')
  writeFileSync(path, JSON.stringify(row))
  for await (const one of readProblems(path, maxPictures)) return 'problem' in one ? one.problem : { error: one.error }
  throw new Error('no row')
}

test('ids and answers under their usual names; several golds; what stands behind ####', async () => {
  const named = { pid: 7, question: 'q', ground_truth: '5', unit: 'cm', precision: 1, answer_type: 'float', choices: ['5', '6'] }
  const problem = (await read(named)) as Problem
  assert.equal([problem.id, problem.answer, problem.unit, problem.precision], ['7', '5', 'cm', 1])
  assert.equal([problem.answerType, problem.choices], ['float', ['5', '6']])
  const listed = (await read({ unique_id: 'u', problem: 'q', final_answer: ['1', '2'], error: '0.1' })) as Problem
  assert.equal([listed.id, listed.answer, listed.answers, listed.tolerance], ['u', '1', ['2'], 0.1])
  assert.is(((await read({ id: 1, question: 'q', answer: 'We add.\n#### 18' })) as Problem).answer, '18')
})

test('bytes win over a path beside them; several pictures in their order, more than may be are refused', async () => {
  const row = { id: 1, question: 'q', answer: 'a' }
  const embedded = (await read({
    ...row,
    image: 'none.png',
    decoded_image: { bytes: 'data:image/png;base64,AA==', path: null },
  })) as Problem
  assert.is(embedded.image, 'data:image/png;base64,AA==')
  const several = { ...row, image_1: '/a.png', image_2: '/b.png', image_3: null }
  assert.equal(((await read(several, 2)) as Problem).images, ['/a.png', '/b.png'])
  assert.match(((await read(several)) as { error: string }).error, /2 pictures; 1 can be taken/)
})

test('tables hold pictures as base64, which is no path however it begins', async () => {
  const table = join(import.meta.dirname, '../../golden/eval/mathvista/MathVista_MINI.tsv')
  const all: Problem[] = []
  for await (const row of readProblems(table)) if ('problem' in row) all.push(row.problem)
  assert.is(all.length, 12)
  assert.ok(all.every(({ image }) => image instanceof Uint8Array && image.length > 100))
})

test('a file without a column of ids counts its rows; in one with such a column a row without an id is none', async () => {
  const path = join(folder, 'gsm8k.jsonl')
  const ids = async (...rows: object[]) => {
    writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'))
    const found: string[] = []
    for await (const one of readProblems(path)) found.push('problem' in one ? one.problem.id : one.error)
    return found
  }
  const row = { question: 'q', answer: '#### 5' }
  assert.equal(await ids(row, { ...row, question: 'r' }), ['1', '2'])
  assert.equal(await ids({ ...row, id: 'a' }, row), ['a', '"id" is missing or not a string'])
})

test.run()

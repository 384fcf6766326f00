/** OlympiadBench beyond the paper's subset: the authors' JSON with its folder of pictures, Chinese, physics, proofs. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { loadAnswerSet } from '../../../ts/eval/index.ts'
import { olympiadBench } from '../../../ts/eval/tasks/olympiadbench.ts'

const test = suite<{ folder: string }>('OlympiadBench, subsets')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'mm-prm-olympiad-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true }))

const row = (id: number, more: object = {}) => ({
  ...{ id, subfield: 'Geometry', context: null, question: 'How long is it?', solution: ['…'], final_answer: ['$5$'] },
  ...{ is_multiple_answer: false, unit: null, answer_type: 'Numerical', error: null, ...more },
})
function write(folder: string, name: string, ...rows: object[]): void {
  mkdirSync(join(folder, 'data'), { recursive: true })
  writeFileSync(join(folder, 'data', `${name}.json`), JSON.stringify(rows))
}
const refusal = (folder: string, limit?: number) =>
  loadAnswerSet(olympiadBench, folder, limit).then(
    () => '',
    (error: Error) => error.message,
  )

test('the authors’ JSON: pictures by number at their places, Chinese cues, rows of the subset that is there', async ({
  folder,
}) => {
  const question = 'Compare <img_31> with <img_7>, and <img_31> again.'
  write(folder, 'OE_MM_maths_zh_CEE', row(1, { question }), row(2))
  mkdirSync(join(folder, 'images'))
  for (const name of ['31.jpg', '7.jpg']) writeFileSync(join(folder, 'images', name), '')
  assert.match(await refusal(folder), /2 rows, OE_MM_maths_zh_CEE has 1910; --limit/)
  const { items } = await loadAnswerSet(olympiadBench, folder, 9)
  const [first, second] = items
  assert.is(first?.problem.question, 'Compare <image1> with <image2>, and <image1> again.')
  assert.equal(first?.problem.images, [join(folder, 'images/31.jpg'), join(folder, 'images/7.jpg')])
  assert.is(second?.problem.images, undefined)
  assert.equal(first?.categories['subset'], ['OE_MM_maths_zh_CEE'])
  assert.is(first?.official('长为 $4$，所以最终答案是$5$。'), true)
  assert.is(first?.official('So the final answer is 5 and not \\boxed{4}'), false)
})

test('a tuple’s tolerance is none of the official rules’', async ({ folder }) => {
  const physics = { unit: 'm', error: '0.5' }
  write(folder, 'OE_TO_physics_en_COMP', row(1, physics), row(2, { ...physics, answer_type: 'Tuple', final_answer: ['(5,6)'] }))
  const { items } = await loadAnswerSet(olympiadBench, folder, 9)
  const say = (answer: string) => `So the final answer is \\boxed{${answer}}`
  assert.equal([items[0]?.official(say('5.4')), items[0]?.official(say('5.6'))], [true, false])
  assert.equal([items[1]?.official(say('(5,6)')), items[1]?.official(say('(5.4,6)'))], [true, false])
  assert.is(items[0]?.problem.unit, 'm')
})

test('proofs are refused by name, as is a folder of several subsets without the usual one', async ({ folder }) => {
  write(folder, 'TP_TO_maths_en_COMP', row(1, { final_answer: null, answer_type: null }))
  assert.match(await refusal(folder, 9), /TP_TO_maths_en_COMP.*row 1: no final answer; proofs cannot be graded/)
  rmSync(join(folder, 'data'), { recursive: true })
  write(folder, 'OE_TO_maths_zh_CEE', row(1))
  write(folder, 'OE_TO_maths_zh_COMP', row(1))
  assert.match(await refusal(folder, 9), /may be any of .*OE_TO_maths_zh_CEE.*OE_TO_maths_zh_COMP.*; name its folder/)
  write(folder, 'OE_MM_maths_en_COMP', row(1))
  assert.is(await refusal(folder, 9), '')
})

test.run()

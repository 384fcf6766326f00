import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import {
  extractAnswer,
  readAnswerBlock,
  readJudgement,
  ruleVerifier,
  verifyAnswer,
  verifyProblem,
} from '../../../ts/verify/index.ts'

const EQUAL: [gold: string, pred: string][] = [
  ['42', '42'], ['42', '42.0'], ['42', '<answer>42</answer>'], ['42', '<answer> The final answer is 42. </answer>'],
  ['0.5', '1/2'], ['1/2', '\\frac{1}{2}'], ['\\frac{7}{3}', '2\\frac{1}{3}'], ['1,000', '1000'], ['1.5\\times 10^3', '1500'],
  ['50\\%', '0.5'], ['50%', '50'], ['12 cm', '12'], ['12', '12\\text{ cm}'], ['12 cm', '12 centimeters'.replace('centimeters', 'cm')],
  ['90^\\circ', '90'], ['\\$5', '5 dollars'], ['2\\sqrt{3}', '\\sqrt{12}'], ['\\sqrt[3]{27}', '3'], ['(x+1)^2', 'x^2+2x+1'],
  ['\\frac{\\sqrt 3}{3}', '\\frac{1}{\\sqrt3}'], ['\\tan^2 y + 1', '\\sec^2 y'], ['\\log_2 8', '3'], ['\\binom{5}{2}', '10'],
  ['|{-3}|', '3'], ['3+4i', '4i+3'], ['(1,2)', '( 1 , 2 )'], ['\\{1,2\\}', '\\{2,1\\}'], ['1, 2', '2 and 1'], ['x=3', '3'], ['3', 'x = 3'],
  ['y=2x+1', '2x-y+1=0'], ['1<x\\le 2', '(1,2]'], ['x\\ge 2', '[2,\\infty)'], ['2x>4', 'x>2'], ['x=\\pm 3', '3, -3'],
  ['\\begin{pmatrix}1\\\\2\\end{pmatrix}', '\\begin{bmatrix}1\\\\2\\end{bmatrix}'], ['(-\\infty,1)\\cup(2,\\infty)', '(2,\\infty)\\cup(-\\infty,1)'],
  ['B', '(B)'], ['B', 'B. 12'], ['(B)', '\\text{B}'], ['Even', '\\text{even}'], ['3:4', '\\frac34'], ['10:30', '10:30'], ['9:05', '09:05'], ['3:30 pm', '3:30'],
  ['x\\neq 5', 'x != 5'], ['120', '5!'], ['11', 'x\\approx 11'], ['\\pi', '\\pi\\approx 3.14'], ['1000', '1 000'], ['12 345 678', '12345678'],
  ['\\frac{AB}{BC}=\\frac{1}{2}', '0.5'], ['5', 'x+y=5'], ['|AB|=1', '1'], ['p=5,q=2;p=7,q=2', '(5,2),(7,2)'], ['0<f(x)<1', '(0,1)'],
  ['2 1/3', '7/3'], ['0.\\overline{3}', '1/3'], ['1.1\\overline{6}', '7/6'], ['１２', '12'], ['1.5e3', '1500'], ['2,3', 'x=2 or x=3'], ['2,3', '2.3'],
  ['|x|', '\\sqrt{x^2}'], ['\\vec{AB}', '\\overrightarrow{AB}'], ['\\angle ABC', 'ABC'], ['\\begin{cases}x=1\\\\y=2\\end{cases}', '(1,2)'],
  ['\\begin{pmatrix}4&6\\end{pmatrix}', '\\begin{pmatrix}1&2\\end{pmatrix}+\\begin{pmatrix}3&4\\end{pmatrix}'],
  ['\\begin{pmatrix}7\\end{pmatrix}', '\\begin{pmatrix}3&4\\end{pmatrix}\\cdot\\begin{pmatrix}1\\\\2\\end{pmatrix}-\\begin{pmatrix}4\\end{pmatrix}'],
  ['\\lfloor 3.7 \\rfloor', '3'], ['7', 'We get 8, and then the answer is 7.'], ['12', '\\boxed{11} is wrong; it is \\boxed{12}'],
] // biome-ignore format: a table
const DIFFERENT: [gold: string, pred: string][] = [
  ['42', '43'], ['42', ''], ['42', 'no idea'], ['12 cm', '12 m'], ['(1,2)', '(2,1)'], ['[1,2]', '(1,2)'], ['x=3', 'y=3'], ['x^2', 'y^2'],
  ['x\\ge 2', 'x>2'], ['2x>4', 'x<2'], ['1,2,3', '1,2'], ['\\infty', '-\\infty'], ['B', 'C'], ['Even', 'odd'], ['0.33', '1/3'],
  ['y=2x+1', 'y=2x+2'], ['a^2+b=0', '0'], ['5', '-5'], ['2:10', '1:05'], ['3:45', '3:40'],
  ['x\\neq 5', 'x=5'], ['x != 3', 'x != 4'], ['x+y=5', '5'], ['|AB|=1', '|CD|=1'], ['p=5,q=2;p=7,q=2', '(2,5),(7,2)'], ['1000', '1 00'],
  ['|x|', 'x'], ['1e400', '1e401'], ['\\overline{z}', 'z'], ['2,3', '3,2,1'],
  ['\\begin{pmatrix}4&6\\end{pmatrix}', '\\begin{pmatrix}1&2\\end{pmatrix}-\\begin{pmatrix}3&4\\end{pmatrix}'], ['f(x)', 'f(y)'],
] // biome-ignore format: a table

test('equal answers', () => {
  for (const [gold, pred] of EQUAL) assert.ok(verifyAnswer(gold, pred).match, `${pred} should equal ${gold}`)
})

test('options decide where their letters and contents are read, whatever words are in them', () => {
  const problem = { id: 'a', question: '?', answer: 'D', choices: ['66', '58', '57 units', '56', 'No correct answer'] }
  const decided = (answer: string, gold = 'D') => {
    const { match, isDecided } = verifyProblem({ ...problem, answer: gold }, answer)
    return [match, isDecided]
  }
  assert.equal(decided('C. 57 units'), [false, true])
  assert.equal(decided('No correct answer'), [false, true])
  assert.equal(decided('D. 56'), [true, true])
  assert.equal(decided('something else'), [false, false])
})

test('different answers', () => {
  for (const [gold, pred] of DIFFERENT) assert.not.ok(verifyAnswer(gold, pred).match, `${pred} should differ from ${gold}`)
})

test('options: precision, strictness, relations as sets, choices', () => {
  assert.ok(verifyAnswer('1/3', '0.33', { precision: 2 }).match)
  assert.ok(verifyAnswer('x=3', 'y=3', { strict: false }).match)
  assert.ok(verifyAnswer('f(x)', 'f(y)', { strict: false }).match)
  assert.not.ok(verifyAnswer('x^2', 'y^3', { strict: false }).match)
  assert.ok(verifyAnswer('(1,2]', '1<x\\le 2').match)
  assert.not.ok(verifyAnswer('(1,2]', '1<x\\le 2', { allowSetRelation: false }).match)
  assert.ok(verifyAnswer('B', '12 apples', { choices: ['10 apples', '12 apples'] }).match)
  assert.not.ok(verifyAnswer('B', '10 apples', { choices: ['10 apples', '12 apples'] }).match)
})

test('the answer of a solution', () => {
  assert.is(extractAnswer('<step>a</step><answer>The final answer is $x=5$.</answer>'), 'x=5')
  assert.is(extractAnswer('so \\boxed{\\frac{1}{2}}.'), '\\frac{1}{2}')
  assert.is(extractAnswer('Thus the answer is 15 cm.'), '15 cm')
  assert.is(extractAnswer('7:30'), '7:30')
  assert.is(extractAnswer('They share it 3:2.'), '3:2')
  assert.is(extractAnswer('I cannot tell'), null)
  const found: [text: string, answer: string | null][] = [
    ['#### 49', '49'], ['答案是36。', '36'], ['The answer is (b).', '(b)'], ['The final answer is $12$. I hope it is correct.', '12'],
    ['It is 5 cm.', '5 cm'], ['2\\sqrt{3}', '2\\sqrt{3}'], ['B', 'B'], ['so \\boxed{\\boxed{\\frac12}}.', '\\frac12'],
    ['<think>7?</think> The answer is 8.', '8'], ['\\boxed{7}. **Answer: 8**', '8'], ['Therefore, **58** own both.', '58'],
    ['\\boxed{42', null], ['\\boxed{1} and then \\boxed{4', null], ['\\boxed{}', null], ['', null],
  ] // biome-ignore format: a table
  for (const [text, answer] of found) assert.is(extractAnswer(text), answer, text)
  assert.is(extractAnswer('<answer>  </answer>'), null)
})

test('what stands in an answer block is the answer', () => {
  const asItStands = ['2\\sqrt{3}', 'B', '(2,-3)', 'x > 3', 'isosceles triangle', '12 + 30 = 42', '5 cm', '[1, 2)']
  for (const text of asItStands) assert.is(readAnswerBlock(` ${text}\n`), text)
  assert.is(readAnswerBlock('The final answer is $\\frac{1}{2}$.'), '\\frac{1}{2}')
  assert.is(readAnswerBlock('x=5'), 'x=5')
  assert.is(readAnswerBlock('so \\boxed{\\frac12}.'), '\\frac12')
  assert.is(readAnswerBlock(' \n'), null)
})

test('hostile texts end in a verdict, soon', () => {
  const start = performance.now()
  for (const pred of [
    '('.repeat(5000),
    '9'.repeat(3000),
    '\\frac{'.repeat(500),
    '9!!!!!!!!',
    '9^{9^{9^{9}}}',
    '$'.repeat(999),
    '\u0000\ud800',
    'x^'.repeat(99),
  ]) {
    assert.is(verifyAnswer('42', pred).match, false, pred.slice(0, 20))
  }
  assert.ok(performance.now() - start < 10_000)
})

const problem = { id: 'p1', question: 'Which shape?', answer: 'a regular hexagon' }

test('the judge is asked only about words, and its words are kept', async () => {
  const asked: string[] = []
  const verifier = ruleVerifier({
    judge: {
      ask: async (prompt) => {
        asked.push(prompt)
        return 'Yes.'
      },
    },
  })
  assert.equal(await verifier.verify(problem, 'hexagon with equal sides'), { match: true, method: 'judge', raw: 'Yes.' })
  assert.is((await verifier.verify({ ...problem, answer: '42' }, '43')).match, false)
  assert.is(asked.length, 1)
  assert.ok(asked[0]?.includes('hexagon with equal sides') && asked[0].includes('Which shape?'))
})

test('the choices of a problem are used, as a list or by letters', async () => {
  const of = (answer: string, meta: Record<string, unknown>) => ({ id: 'c', question: 'Which?', answer, meta })
  const verify = async (answer: string, meta: Record<string, unknown>, given: string) =>
    (await ruleVerifier().verify(of(answer, meta), given)).match
  for (const meta of [{ choices: ['12', '15', '18'] }, { options: { A: '12', B: '15', C: '18' } }, { choices: [12, 15, 18] }]) {
    assert.ok(await verify('C', meta, '18 cm'))
    assert.ok(await verify('15', meta, '(B)'))
    assert.ok(await verify('AC', meta, 'C, A'))
    assert.not.ok(await verify('C', meta, '15'))
  }
  assert.not.ok(await verify('ACB', {}, 'BCA'))
})

test('a judge without a verdict is an error that names the problem', async () => {
  for (const reply of ['Maybe', 'Yes and no', '']) {
    const verifier = ruleVerifier({ judge: { ask: async () => reply, attempts: 2, backOffMs: 1 } })
    try {
      await verifier.verify(problem, 'a square')
      assert.unreachable()
    } catch (error) {
      assert.instance(error, EngineError)
      assert.is((error as EngineError).code, 'ERR_ENGINE_POLICY')
      assert.match((error as EngineError).message, /problem p1.*2 attempts/)
    }
  }
  let calls = 0
  const recovering = ruleVerifier({
    judge: { ask: async () => (calls++ === 0 ? Promise.reject(new Error('503')) : 'no'), backOffMs: 1 },
  })
  assert.is((await recovering.verify(problem, 'a square')).match, false)
  assert.is(readJudgement('**No**, because'), false)
})

test.run()

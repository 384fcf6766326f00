/** Texts that are made to hang or to break a verifier: a verdict each, soon, and never an exception. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { canDecide, extractAnswer, readAnswerBlock, verifyAnswer } from '../../../ts/verify/index.ts'

/** Of the processor, not of the clock: other programs may be running. A usual verdict takes less than one. */
const MAX_MS = 1500

function bounded<T>(name: string, run: () => T): T {
  const before = process.cpuUsage()
  const result = run()
  const { user, system } = process.cpuUsage(before)
  assert.ok((user + system) / 1000 < MAX_MS, `${name} took ${Math.round((user + system) / 1000)} ms`)
  return result
}

const MATRIX = '\\begin{pmatrix}1&1\\\\1&1\\end{pmatrix}'
const LARGE = [
  '\\binom{10^{16}}{2}', '\\binom{10^{20}}{1}', '\\binom{10^9}{400000000}', '['.repeat(2500), '|'.repeat(2500), '{'.repeat(3900),
  '('.repeat(3900), '\\('.repeat(10_000), '9^{9^{9^9}}', '9!!!!!!!!', '(1+x)^{9999}', '(a+b+c+d)^{60}', '\\sum_{k=1}^{10^9}k',
  '\\prod_{k=1}^{2000}k!', 'e^{e^{e^{e^{e}}}}', '\\sin(10^{100000})', '\\gcd(10^{4000}+1,10^{3999}+7)', '9'.repeat(3900),
  '\\sqrt{'.repeat(50), `\\sqrt{${'9'.repeat(3000)}}`, `0.(${'3'.repeat(3000)})`, '(1+\\sqrt2)^{1999}', '\\sum_{i=1}^{2000}\\sum_{j=1}^{2000}ij',
  '\\sum_{i=1}^{2000}\\sqrt{i}', `${'12345678901'.repeat(30)}!`, 'x+'.repeat(1900), 'x='.repeat(1900), `${'a'.repeat(5000)}`,
  `${Array.from({ length: 200 }, (_, i) => `(x-${i})`).join('')}>0`, `${Array.from({ length: 40 }, (_, i) => `|x-${i}|`).join('+')}<7`,
  `x^4-${'9'.repeat(3000)}>0`, 'x^{10^{10}}>1', `${'\\frac{1}{'.repeat(15)}x${'}'.repeat(15)}>0`,
] // biome-ignore format: a table

test('answers that are too large, too deep or too long', () => {
  for (const text of LARGE) {
    const name = text.slice(0, 40)
    assert.is(bounded(name, () => verifyAnswer('2', text)).match, false, name)
    bounded(name, () => verifyAnswer(text, `${text}+1`))
    bounded(name, () => verifyAnswer(text, `1+${text}`))
  }
  for (const count of [26, 29, 90]) bounded(`${count} matrices`, () => verifyAnswer(MATRIX, MATRIX.repeat(count)))
  assert.ok(verifyAnswer('\\begin{pmatrix}4&4\\\\4&4\\end{pmatrix}', MATRIX.repeat(3)).match)
})

test('what is too much is undecided, not different', () => {
  for (const [gold, pred] of [
    ['2', `${'('.repeat(500)}2${')'.repeat(500)}`],
    ['2', `2${'+0'.repeat(2500)}`],
    ['42', '9^{9^{9^9}}'],
    ['2', '\\sum_{k=1}^{1000000}k'],
  ] as const) {
    const { match, method, reason } = verifyAnswer(gold, pred)
    assert.equal([match, method, typeof reason], [false, 'undecided', 'string'], pred.slice(0, 30))
  }
})

const ATOMS = [
  ' ', '\\(', '$', '\\[', '\\boxed{', '{', 'answer is ', '1 000', '1,000', '111 111 ', '\\text{', '\\begin{matrix}', '\\begin{cases}',
  '\\frac{', '<answer>', '<step>', '</step>', '\\overline{', '1.', '\\', '\n', 'and ', '\\text{ and ', 'final answer is $', '|', '=', '<',
  'x=', '(', '[', '9', '9/', '-', '+', 'a ', '\\mathbb', '{,', ' , ', '\\!', '≈', '\\\\', '&', '%', ';', '_', '^', '!', '∪', '\\{', 'sin',
  '\\sqrt', 'e', '0.\\overline{3}', 'x_{', 'x, ', '2^', '**', '答案是', '十', '"answer": "', '#### ', 'because ', '½', 'x^2+', '\\pm ',
  '[0,1]∪', 'three ', '5 cm ', '12:30 ', 'A,', '(A) ', 'B. ', '①', '\\ln(', 'k\\in Z,', 'x>1 or ', 'x≠1,', '`', "'", '"', '。', '＜', '１',
] // biome-ignore format: a table

for (const length of [3990, 40_000]) {
  test(`one piece again and again, ${length} characters`, () => {
    for (const atom of ATOMS) {
      const text = atom.repeat(Math.ceil(length / atom.length))
      const name = `${JSON.stringify(atom)} × ${length}`
      bounded(name, () => verifyAnswer('42', text))
      bounded(name, () => verifyAnswer(text, '42'))
      bounded(name, () => verifyAnswer(`${text}1`, text))
      bounded(name, () => verifyAnswer('B', text, { choices: ['1', '2', text, 'x'] }))
      bounded(name, () => verifyAnswer('42', text, { extract: ['latex', 'expr'] }))
      bounded(name, () => [extractAnswer(text), readAnswerBlock(text), canDecide(text, '42')])
    }
  })
}

test.run()

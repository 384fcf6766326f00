/** Formulas as the official graders' library reads them; values and readability by sympy 1.12. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate } from '../../../ts/eval/official/evaluate.ts'
import { parseLatex } from '../../../ts/eval/official/latex.ts'
import { pyFloat, pyFloatText, pyInt, pyRound } from '../../../ts/eval/official/python.ts'

const test = suite('official graders')
const X = 0.7

const VALUES: [latex: string, value: number][] = [
  ['1/2x', 1 / (2 * X)],
  ['6/2(1+2)', 1],
  ['5\\sqrt3', 5], // what cannot be read further is left out
  ['2\\frac{1}{2}', 1],
  ['\\frac12', 0.5],
  ['1,000', 1000],
  ['3 4', 34],
  ['7:12', 7 / 12],
  ['2^{3^2}', 512],
  ['-2^2', -4],
  ['\\log_2 8', 3],
  ['\\sqrt[3]{27}+1', 4],
  ['\\sin^2 x', Math.sin(X) ** 2],
  ['\\cot^{-1} x', Math.atan(1 / X)],
  ['5!/3!', 20],
  ['|3-5|', 2],
  ['\\lfloor 2.5 \\rfloor', 2],
]
for (const [latex, value] of VALUES) {
  test(latex, () => {
    const expr = parseLatex(latex)
    assert.ok(expr)
    assert.ok(Math.abs(evaluate(expr as NonNullable<typeof expr>, () => X) - value) < 1e-12)
  })
}

for (const latex of ['(2,3)', '7%', '\\sqrt 3', '.5', '5.', '=3', '', 'π', '\\{7', '\\frac{7}{12', '100\\ m', '7;8']) {
  test(`unreadable: ${latex}`, () => assert.is(parseLatex(latex), undefined))
}

test('numbers as Python has them', () => {
  assert.equal(['17', ' 1_0 ', '１７', '1e3', '.5', '5.', '1__0', '0x1', '1,000', ''].map(pyFloat), [
    ...[17, 10, 17, 1000, 0.5, 5],
    ...[undefined, undefined, undefined, undefined],
  ])
  assert.equal(['-0', '+7', '1_0', '1.0'].map(pyInt), ['0', '7', '10', undefined])
  assert.equal(
    [17.25, 17.35, 2.5, -0.125, 17.125].map((x) => pyRound(x, x === 2.5 ? 0 : x > 17.2 ? 1 : 2)),
    [17.2, 17.4, 2, -0.12, 17.12],
  )
  assert.equal([1, 1e16, 1e-5, 0.1, -0].map(pyFloatText), ['1.0', '1e+16', '1e-05', '0.1', '-0.0'])
})

test.run()

/** Sums in words: the same seed gives the same problem, plans hold, mistakes are what they are said to be. */
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkSum, comparisonOf, sumProblem, writtenSum } from '../../../ts/tasks/sums.ts'
import { startCli } from '../../helpers/cli.ts'

const COUNT = 600
const all = Array.from({ length: COUNT }, (_, i) => sumProblem('test', i))

/** By this file's own arithmetic. */
function holds(step: string): boolean {
  const [, a, sign, b, result] = /^(-?\d+) ([-+*]) (\d+) = (-?\d+)\.$/.exec(step) ?? []
  const value = { '+': Number(a) + Number(b), '-': Number(a) - Number(b), '*': Number(a) * Number(b) }[sign as '+' | '-' | '*']
  return value === Number(result)
}

test('the same seed gives the same problem, another one another', () => {
  assert.equal(sumProblem('test', 17), all[17])
  assert.not.equal(sumProblem('other', 17).question, all[17]?.question)
  assert.ok(new Set(all.map((p) => p.question)).size > 0.95 * COUNT)
})

test('every step of a plan holds, goes on from the one before, and is what the question asks for', () => {
  for (const { question, steps, answer, level } of all) {
    assert.is(steps.length, level + 1)
    assert.ok(steps.every(holds), steps.join(' '))
    const [start, ...by] = [...question.matchAll(/\d+/g)].map(([n]) => n)
    steps.forEach((step, i) => {
      const before = i === 0 ? start : /= (\d+)\.$/.exec(steps[i - 1] as string)?.[1]
      assert.match(step, new RegExp(`^${before} [-+*] ${by[i]} = `))
    })
    assert.is(steps.at(-1)?.split(' = ')[1], `${answer}.`)
    assert.ok(Number(answer) >= 0)
  }
})

test('levels are kept to', () => {
  assert.equal(new Set(Array.from({ length: 50 }, (_, i) => sumProblem('levels', i, [2]).level)), new Set([2]))
  assert.equal(new Set(all.map((p) => p.level)), new Set([1, 2, 3]))
})

test('a worked solution is right at every step; a wrong one from its first wrong step on', () => {
  const problem = all.find((p) => p.level === 3) as (typeof all)[number]
  const { steps, answer } = problem
  assert.equal(checkSum(problem, [...steps, answer]), [true, true, true, true, true])
  assert.equal(checkSum(problem, [...steps, ` ${answer} `, answer]), [true, true, true, true, true, false])
  assert.equal(checkSum(problem, [`So ${steps[0]}`, '1 + 1 = 2.', steps[2] as string]), [true, false, false])
  assert.equal(checkSum(problem, [answer]), [false])
  assert.equal(checkSum(problem, []), [])
})

test('half of the written solutions go wrong, about half of these in a way that code sees', () => {
  const counts = { wrong: 0, seen: 0, luckyAnswer: 0 }
  all.forEach((problem, i) => {
    const { steps, answer } = writtenSum('test', i)
    assert.is(steps.length, problem.steps.length)
    const truth = checkSum(problem, steps)
    if (!truth.includes(false)) return assert.is(answer, problem.answer)
    counts.wrong++
    if (steps.some((step) => !holds(step))) counts.seen++
    if (answer === problem.answer) counts.luckyAnswer++
    const behind = steps.filter((step) => !holds(step)).length
    assert.ok(behind <= 1, 'an error is made once')
    return undefined
  })
  assert.ok(Math.abs(counts.wrong / COUNT - 0.5) < 0.08, `${counts.wrong} of ${COUNT} go wrong`)
  assert.ok(Math.abs(counts.seen / counts.wrong - 0.6) < 0.15, `code sees ${counts.seen} of ${counts.wrong}`)
  assert.ok(counts.luckyAnswer < 0.05 * counts.wrong)
})

test('a step as a comparison in code', () => {
  assert.is(comparisonOf('12 * 7 = 84.'), '12 * 7 == 84')
  assert.is(comparisonOf('So -5 + 20 = 15'), '-5 + 20 == 15')
  for (const other of ['84', 'twelve', '12 * 7', '1 + 2 = 3 = 3', '2 + 2 = 4 and more']) assert.is(comparisonOf(other), undefined)
})

test('mm-prm tasks --sums writes them', async () => {
  const out = mkdtempSync(join(tmpdir(), 'mm-prm-sums-'))
  const made = await startCli(['tasks', '--sums', '--out', out, '--count', '3', '--seed', 'a-b', '--levels', '1']).ended
  assert.is(made.code, 0, made.stderr)
  const rows = readFileSync(join(out, 'problems.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const { steps, ...problem } = sumProblem('a-b', 1, [1])
  assert.equal(rows[1], { ...problem, steps: [...steps, problem.answer] })
  assert.is(rows.length, 3)
  for (const [more, why] of [
    [['--sql'], /--sql and --sums/],
    [['--part', 'test'], /--families and --part are for problems with pictures/],
  ] as const) {
    const refused = await startCli(['tasks', '--sums', '--out', out, ...more]).ended
    assert.is(refused.code, 2)
    assert.match(refused.stderr, why)
  }
})

test.run()

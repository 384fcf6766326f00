/** Scores and labels held against the truth about steps. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Counts, TreeNode } from '../../../ts/contracts/records.ts'
import { areaUnderCurve, stepAccuracy, type TaskCandidates } from '../../../ts/mini/candidates.ts'
import type { MiniTask } from '../../../ts/mini/problems.ts'
import { labelAccuracy } from '../../../ts/mini/search.ts'
import { IN_DOMAIN, makeProblem, makeProblems } from '../../../ts/tasks/index.ts'

const mini =
  [...makeProblems(IN_DOMAIN, 'truth', 40)].find((p) => p.steps.length >= 3) ?? makeProblem(IN_DOMAIN[0] as never, 'truth', 0)
const task: MiniTask = { mini, problem: { id: mini.id, question: mini.question, answer: mini.answer } }
const right = mini.steps.map((s) => s.text)
const wrong = right.map((text, i) => (i === 1 ? text.replace(/\d+/g, '999') : text))

test('area under the curve: separated, mixed, ties count half', () => {
  assert.is(areaUnderCurve([0.9, 0.8], [0.1, 0.2]), 1)
  assert.is(areaUnderCurve([0.1], [0.9]), 0)
  assert.is(areaUnderCurve([0.5, 0.5], [0.5]), 0.5)
  assert.is(areaUnderCurve([0.9, 0.3], [0.5, 0.1]), 0.75)
})

test('steps against the truth: first errors and accepted solutions', () => {
  const candidate = (steps: readonly string[], isRight: boolean) => ({
    steps: [...steps, isRight ? mini.answer : '999'],
    isComplete: true,
    answer: isRight ? mini.answer : '999',
    isRight,
  })
  const all: TaskCandidates[] = [{ task, candidates: [candidate(right, true), candidate(wrong, false)] }]
  const high = right.map(() => 0.9)
  const truthful = [
    [...high, 0.9],
    [0.9, 0.2, ...right.slice(2).map(() => 0.1), 0.1],
  ]
  const item = (scores: number[][]) => [{ id: mini.id, scores, labels: [1, 0] }]
  const good = stepAccuracy(all, item(truthful))
  assert.is(good.auc, 1)
  assert.is(good.accuracy.value, 1)
  assert.is(good.f1, 1)
  assert.is(good.steps, 2 * (right.length + 1))
  assert.is(good.wrongSteps, right.length)
  const blind = stepAccuracy(
    all,
    item([
      [...high, 0.9],
      [...high, 0.9],
    ]),
  )
  assert.is(blind.auc, 0.5)
  assert.is(blind.firstErrorFound, 0)
  assert.is(blind.rightAccepted, 1)
  assert.is(blind.f1, 0)
})

const counts = (correct: number): Counts => ({ correct, total: 4, unparsed: 0, truncated: 0 })
const node = (steps: string[], correct: number, children: TreeNode[] = []): TreeNode => ({
  ...{ steps, counts: counts(correct), firstError: correct === 0, terminal: false, visits: 0, rollouts: [], children },
})

test('labels of a tree against the truth', () => {
  const [a = '', b = ''] = right
  const bad = b.replace(/\d+/g, '999')
  const tree = (children: TreeNode[]) => [{ problem: task.problem, root: node([], 2, children) }]
  const faithful = labelAccuracy(tree([node([a], 2, [node([b], 3), node([bad], 0)])]), () => task)
  assert.equal([faithful.labels, faithful.agree, faithful.firstErrors, faithful.firstErrorsRight], [3, 1, 1, 1])
  const lucky = labelAccuracy(tree([node([a], 0), node([a], 1, [node([bad], 1)])]), () => task)
  assert.equal([lucky.labels, lucky.firstErrors, lucky.firstErrorsRight], [3, 1, 0])
  assert.is(lucky.agree, 1 / 3)
})

test.run()

/** Siblings: several next steps of each prefix along one path, with the labels that rollouts give. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SearchEvent } from '../../../ts/contracts/events.ts'
import type { EvaluationRecord, ProblemTree, TreeNode } from '../../../ts/contracts/records.ts'
import type { KnownWork } from '../../../ts/contracts/run-store.ts'
import { streamsOf } from '../../../ts/contracts/streams.ts'
import { traverse } from '../../../ts/dataset/traverse.ts'
import { type Script, scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { siblings, siblingsOptions } from '../../../ts/search/strategies/siblings.ts'
import { NOTHING_KNOWN, UNLIMITED } from '../../helpers/search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'

const problem = simulatedProblem(4)
const right = `The final answer is ${problem.answer}`
const complete = (...steps: string[]) => ({ outcome: 'complete' as const, steps, text: steps.join('\n'), numTokens: 10 })

async function run(script: Script, options: object, more: { known?: KnownWork; maxRollouts?: number } = {}) {
  const asked: string[] = []
  const policy = scriptedPolicy((request, index) => {
    asked.push(JSON.stringify(request.prefix))
    return script(request, index)
  })
  const context = {
    ...{ problem, policy, verifier: simulatedVerifier, rng: streamsOf(1, problem.id), known: more.known ?? NOTHING_KNOWN },
    budget: { ...UNLIMITED, ...(more.maxRollouts && { maxRollouts: more.maxRollouts }) },
  }
  const events: SearchEvent[] = []
  for await (const event of siblings.run(context, siblingsOptions.parse(options))) events.push(event)
  const finished = events.at(-1) as Extract<SearchEvent, { type: 'finished' }>
  return { asked, events, finished, tree: finished.tree as ProblemTree }
}

/** After nothing: a, b, c by index; through a half of the solutions are right, through b a quarter, through c none. */
const script: Script = ({ prefix }, index) => {
  const first = prefix[0] ?? (['a', 'b', 'a', 'c', 'd'][index % 5] as string)
  const isRight = first === 'a' ? index % 2 === 0 : first === 'b' && index % 4 === 0
  const answer = isRight ? right : 'The final answer is 1 (!)'
  if (prefix.length === 0) return complete(first, `${first} on ${index % 2}`, answer)
  return prefix.length === 1 ? complete(`${first} on ${index % 2}`, answer) : complete(answer)
}

const shapeOf = ({ steps, counts, terminal, children }: TreeNode): unknown => [
  ...steps,
  counts && `${counts.correct}/${counts.total}${terminal ? ' answer' : ''}`,
  ...(children.length > 0 ? [children.map(shapeOf)] : []),
]

test('siblings are the beginnings of their prefix’s rollouts; the path goes on with the best, answers are no guess', async () => {
  const { tree, finished, asked } = await run(script, { branch: 3, numRollouts: 8 })
  const wrong = ['The final answer is 1 (!)', '0/1 answer']
  assert.equal(shapeOf(tree.root), [
    '2/8',
    [
      [
        'a',
        '4/8',
        [
          ['a on 0', '4/8', [wrong, [right, '1/1 answer']]],
          ['a on 1', '4/8'],
        ],
      ],
      ['b', '2/8'],
      ['c', '0/8'],
    ],
  ])
  assert.is(new Set(asked).size, 6)
  assert.equal([finished.reason, finished.searches, finished.rollouts], ['complete', 3, 48])
})

test('a data set is made of them: each sibling is a label, beside the others of its prefix', async () => {
  const { tree } = await run(script, { branch: 3, numRollouts: 8 })
  const options = { label: 'soft', maxShortWords: 0, balance: 'none', afterError: 'cut', seed: 0 } as const
  const { samples } = traverse(tree, options)
  const labels = samples.map(({ kind, steps }) => `${kind}: ${steps.map((s) => `${s.text}=${s.label}`).join(', ')}`)
  for (const expected of ['negative: c=0', 'positive: b=0.25', 'positive: a=0.5, a on 1=0.5'])
    assert.ok(labels.includes(expected), `${expected} in ${labels.join('; ')}`)
})

test('it ends at its budget, at its depth, and where nothing leads on', async () => {
  const spent = await run(script, { branch: 3, numRollouts: 8 }, { maxRollouts: 20 })
  assert.equal([spent.finished.reason, spent.finished.rollouts], ['rollouts', 32])
  const shallow = await run(script, { branch: 3, numRollouts: 8, maxDepth: 1 })
  assert.equal([shallow.finished.reason, shallow.finished.searches], ['exhausted', 1])
  const hopeless = await run(() => complete('x', 'The final answer is 2 (!)'), { numRollouts: 4 })
  assert.equal([hopeless.finished.reason, hopeless.finished.rollouts], ['complete', 8])
  const mute = await run(() => ({ outcome: 'unparsed', steps: [], text: '?' }), { numRollouts: 4 })
  assert.equal(shapeOf(mute.tree.root), ['0/0'])
})

test('the same tree again, and after an interruption, without asking twice', async () => {
  const whole = await run(simulate, { branch: 4, numRollouts: 6 })
  assert.ok(whole.tree.root.children.length > 2)
  assert.equal((await run(simulate, { branch: 4, numRollouts: 6 })).tree, whole.tree)
  const evaluations: EvaluationRecord[] = whole.events.flatMap((e) => (e.type === 'evaluated' ? [e.evaluation] : []))
  const verdicts = whole.events.flatMap((e) => (e.type === 'verdict' ? [e.verdict] : []))
  const known = { evaluations: evaluations.slice(0, 3), verdicts: verdicts.slice(0, 2) }
  const resumed = await run(simulate, { branch: 4, numRollouts: 6 }, { known })
  assert.equal(resumed.tree, whole.tree)
  assert.is(resumed.asked.length, whole.asked.length - evaluations.slice(0, 3).reduce((n, e) => n + e.rollouts.length, 0))
})

test.run()

/** Compat search against the recorded runs of the MM-PRM reference: tree, order of selections, calls. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { SearchEvent } from '../../ts/contracts/events.ts'
import { mcValue, type ProblemTree, type TreeNode } from '../../ts/contracts/records.ts'
import { streamsOf } from '../../ts/contracts/streams.ts'
import type { Verifier } from '../../ts/contracts/verifier.ts'
import { scriptedPolicy } from '../../ts/policy/scripted.ts'
import { findTemplate } from '../../ts/policy/templates.ts'
import { omega, omegaOptions } from '../../ts/search/strategies/omega.ts'
import { distinctSteps } from '../../ts/search/tree.ts'
import { GOLDEN_ROOT, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('omega')

interface GoldenNode {
  partial_solution?: string[]
  mc_value: number
  visit_count: number
  correct_rollouts: string[][]
  incorrect_rollouts: string[][]
  children: GoldenNode[]
}

const KEYS = ['name', 'policyCalls', 'problem', 'params', 'samples', 'searchCount', 'selections', 'totalRollouts', 'tree']

/** The rule under which the cases were recorded: the text after the fixed phrase equals the answer. */
const exact: Verifier = {
  name: 'exact',
  extract: (text) => /The final answer is (.*)$/s.exec(text)?.[1] ?? null,
  verify: async (problem, answer) => ({ match: answer === problem.answer, method: 'exact' }),
}

function toGolden(node: TreeNode): GoldenNode {
  return {
    partial_solution: [...node.steps],
    mc_value: node.counts ? mcValue(node.counts) : Number.NaN,
    visit_count: node.visits,
    correct_rollouts: distinctSteps(node.rollouts, (r) => r.correct === true).map((r) => [...r]),
    incorrect_rollouts: distinctSteps(node.rollouts, (r) => r.correct !== true).map((r) => [...r]),
    children: node.children.map(toGolden),
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a golden file is plain data
async function search(golden: any) {
  const { problem: p, params } = golden
  const template = findTemplate('mm-prm-v1')
  let calls = 0
  const policy = scriptedPolicy((request, index) => {
    const call = golden.policyCalls[index === 0 ? calls++ : calls - 1]
    assert.equal(request.prefix, call.prefix, `prefix of call ${calls - 1}`)
    assert.is(`<image>\n${template.render(p.question, request.prefix).user}`, call.prompt, `prompt of call ${calls - 1}`)
    const steps = call.rollouts[index]
    return { outcome: steps.length > 0 ? 'complete' : 'unparsed', steps, text: '' }
  })
  const options = omegaOptions.parse({
    compat: 'mm-prm',
    cPuct: params.c_puct,
    alpha: params.alpha,
    beta: params.beta,
    lengthScale: params.length_scale,
    numRollouts: params.num_rollouts,
    maxSearches: params.max_search_count,
  })
  const events: SearchEvent[] = []
  const problem = { id: p.id, question: p.question, answer: p.correct_answer, image: p.image_path }
  const context = {
    problem,
    policy,
    verifier: exact,
    rng: streamsOf(0, p.id),
    budget: { maxRollouts: params.rollout_budget, maxTokens: Number.POSITIVE_INFINITY },
    known: { evaluations: [], verdicts: [] },
  }
  for await (const event of omega.run(context, options)) events.push(event)
  return { events, calls }
}

const folder = join(GOLDEN_ROOT, 'omega')
const files = readdirSync(folder).filter((name) => name.endsWith('.json'))

for (const file of files.sort()) {
  test(`omega: ${file}`, async () => {
    const golden = readJson(join(folder, file))
    for (const key of Object.keys(golden)) assert.ok(KEYS.includes(key), `unknown key "${key}" in ${file}`)
    const { events, calls } = await search(golden)
    const selections = events.flatMap((e) => (e.type === 'selected' ? [{ prefix: e.prefix, rollout: e.rollout }] : []))
    assert.equal(selections, golden.selections)
    const finished = events.find((e) => e.type === 'finished')
    assert.ok(finished)
    assert.is(finished.searches, golden.searchCount)
    assert.is(finished.rollouts, golden.totalRollouts)
    assert.is(calls, golden.policyCalls.length)
    const { partial_solution: _, ...root } = toGolden((finished.tree as ProblemTree).root)
    const { question, answer, image_path: __, ...tree } = golden.tree
    assert.is(question, golden.problem.question)
    assert.is(answer, golden.problem.correct_answer)
    assert.equal(root, tree)
  })
}

test('omega: there are cases', () => {
  assert.ok(files.length > 0, `no cases in ${folder}`)
  console.log(`omega: ${files.length} cases`)
})

test.run()

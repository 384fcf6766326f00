/** Problems of several pictures: policies and scorers, here and behind a server, show all of them where the text says. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../ts/contracts/errors.ts'
import type { Policy } from '../../ts/contracts/policy.ts'
import type { Problem } from '../../ts/contracts/problem.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { nativePolicy } from '../../ts/policy/native.ts'
import { openAiPolicy } from '../../ts/policy/openai.ts'
import { remoteScorer } from '../../ts/policy/remote-scorer.ts'
import { nativeScorer } from '../../ts/policy/scorer.ts'
import { serve } from '../../ts/serve/index.ts'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const POLICY = pickCheckpoint({ file: 'image-2.png', architecture: /InternVLChatModel/, vision: true })
const [a = '', b = ''] = picturesOf(POLICY)
const policyEngine = await Engine.open({ model: POLICY, weights: 'f32' })
const prm = await Engine.open({ model: pickCheckpoint({ kind: 'scoreSolutions' }), weights: 'f32' })
const server = await serve({ policy: policyEngine, prm })
test.after(async () => {
  await server.close()
  await policyEngine.close()
  await prm.close()
})

const crossed: Problem = { id: 'crossed', question: 'Is <image2> like <image1>?', answer: 'no', images: [a, b] }
const PROBLEMS: Problem[] = [
  crossed,
  { id: 'front', question: 'Same?', answer: 'no', images: [a, b] },
  { id: 'behind', question: 'Look: <image>', answer: 'no', image: a },
  { id: 'options', question: 'Which?', answer: 'A', choices: ['<image_1>', '<image_2>'], images: [a, b] },
]
const sampling = { temperature: 0, maxTokens: 8 }

async function textsOf(policy: Policy, problems: readonly Problem[]): Promise<string[]> {
  const requests = problems.map((problem) => ({ problem, prefix: [], seed: 1, from: 0, count: 1 }))
  return (await policy.rollouts(requests)).map(([rollout]) => rollout?.text as string)
}

test('a policy that writes tags is shown every picture at its mark', async () => {
  const given = await textsOf(nativePolicy(policyEngine, { sampling, template: 'prefill' }), PROBLEMS)
  const asked: [string, string[]][] = [
    ['Is <image> like <image>?', [b, a]],
    ['Same?', [a, b]],
    ['Look: <image>', [a]],
    ['Which?\nChoices:\n(A) <image>\n(B) <image>', [a, b]],
  ]
  for (const [i, [question, images]] of asked.entries()) {
    const call = { question, images, template: 'prefill', seed: 1, maxTokens: 8, sampling: { temperature: 0 } }
    const [expected] = await policyEngine.generate(call)
    assert.is(given[i], expected?.text, question)
    const [others] = await policyEngine.generate({ ...call, images: images.length > 1 ? [...images].reverse() : [b] })
    assert.is.not(given[i], others?.text, `${question}: the pictures count`)
  }
})

test('a model behind a server is shown what the same model is shown here', async () => {
  const here = nativePolicy(policyEngine, { sampling, steps: 'line' })
  const there = openAiPolicy({ baseUrl: `${server.url}/v1`, model: 'any', sampling, steps: 'line' })
  assert.equal(await textsOf(there, PROBLEMS), await textsOf(here, PROBLEMS))
})

test('scorers, here and behind a server, see every picture', async () => {
  const here = nativeScorer(prm)
  const there = await remoteScorer({ baseUrl: server.url })
  const solutions = [['They differ.', 'No.'], ['No.']]
  for (const problem of PROBLEMS) {
    const scored = await here.score({ problem, solutions })
    assert.equal(await there.score({ problem, solutions }), scored, problem.id)
  }
  const [own] = await here.score({ problem: crossed, solutions })
  const direct = await prm.scoreSteps({ question: 'Is <image> like <image>?', images: [b, a], steps: solutions[0] as string[] })
  assert.equal(own?.scores, direct)
  assert.not.equal((await here.score({ problem: { ...crossed, images: [b, a] }, solutions }))[0]?.scores, own?.scores)
})

test('more pictures than a model has positions for, or any for one that reads text, are refused by name', async () => {
  const many = { ...crossed, images: Array.from({ length: 1200 }, () => a) }
  const tooMany = (await textsOf(nativePolicy(policyEngine, { sampling }), [many]).catch((e: Error) => e)) as EngineError
  assert.is(tooMany.code, 'ERR_ENGINE_INVALID_ARGUMENT')
  assert.match(tooMany.message, /^problem "crossed": the prompt has \d+ tokens, the model has \d+ positions/)
  await using blind = await Engine.open({ model: pickCheckpoint({ vision: false, architecture: /Qwen3ForCausalLM/ }) })
  const unseen = (await textsOf(nativePolicy(blind, { sampling }), [crossed]).catch((e: Error) => e)) as EngineError
  assert.match(unseen.message, /^problem "crossed": an image was given, but .* reads text only/)
})

test.run()

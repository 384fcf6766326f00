/** Step scores of the server: in our form, in that of clients of vLLM’s reward models, as a scorer. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { openScorer } from '../../ts/kit/index.ts'
import { serve } from '../../ts/serve/index.ts'
import { chat, closeAll, MODELS, PICTURE, PROBLEM, policy, post, prm, scratch, server } from '../helpers/serve.ts'

test.after(closeAll)

test('step scores are those of the engine, in our form; a threshold adds drops and flags', async () => {
  const steps = ['Read the chart.', 'So 35 + 11 = 46.', '46']
  const scores = await prm.scoreSteps({ question: PROBLEM.question, image: PICTURE, steps })
  const body = { question: PROBLEM.question, image: PICTURE, steps }
  assert.equal((await post('/v1/score/steps', body)).body, { scores })
  assert.equal((await post('/v1/score/steps', { question: PROBLEM.question, images: [PICTURE], steps })).body, { scores })
  const many = await post('/v1/score/steps', { ...body, steps: undefined, solutions: [steps, [], ['  ']], returnLogits: true })
  const {
    scores: all,
    logits,
    errors,
  } = await prm.scoreCandidates({
    ...{ question: PROBLEM.question, image: PICTURE, returnLogits: true },
    solutions: [steps, [], ['  ']],
  })
  assert.equal(many.body, { scores: all, logits, errors })
  await using strict = await serve({ prm, threshold: 0.9 })
  const judged = (await post('/v1/score/steps', body, {}, strict.url)).body
  assert.equal(judged, {
    scores,
    drop: [null, (scores[0] as number) - (scores[1] as number), (scores[1] as number) - (scores[2] as number)],
    flagged: scores.map((s) => s < 0.9),
    threshold: 0.9,
  })
  assert.match((await post('/v1/chat/completions', chat, {}, strict.url)).body.error.message, /no policy: start it with --model/)
})

test('a threshold that the checkpoint records is the server’s, until another is given', async () => {
  const folder = join(scratch, 'recorded')
  cpSync(join(MODELS, 'mini-prm'), folder, { recursive: true })
  const path = join(folder, 'mm-prm.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), threshold: 0.25 }))
  await using recorded = await Engine.open({ model: folder })
  const body = { question: PROBLEM.question, image: PICTURE, steps: ['Read the chart.', 'So 35 + 11 = 46.', '46'] }
  for (const [given, threshold] of [
    [undefined, 0.25],
    [0.75, 0.75],
  ] as const) {
    await using one = await serve({ prm: recorded, ...(given !== undefined && { threshold: given }) })
    const { body: judged } = await post('/v1/score/steps', body, {}, one.url)
    assert.is(judged.threshold, threshold)
    assert.equal(
      judged.flagged,
      judged.scores.map((score: number) => score < threshold),
    )
  }
})

test('clients of vLLM’s reward models: pooling and classify, of conversations and of whole prompts', async () => {
  const steps = ['3 + 4 = 8', '8']
  const scores = await prm.scoreSteps({ question: 'What is 3 + 4?', steps })
  const turns = [
    { role: 'user', content: 'What is 3 + 4?' },
    { role: 'assistant', content: steps.map((step) => `${step}<prm>`).join('') },
  ]
  const pooled = await post('/pooling', { model: 'x', messages: turns })
  assert.equal(pooled.body.data, [{ index: 0, object: 'pooling', data: scores.map((p) => [1 - p, p]) }])
  const classified = await post('/classify', { messages: turns })
  const last = scores[1] as number
  assert.equal(classified.body.data[0].probs, [1 - last, last])
  const texts = ['a<prm>b<prm>', 'a<prm>c<prm>']
  const raw = await post('/pooling', { input: texts })
  const expected = await Promise.all(texts.map((text) => prm.scoreMarked({ text })))
  assert.equal(
    raw.body.data.map((d: { data: number[][] }) => d.data.map((p) => p[1])),
    expected.map((e) => e.scores),
  )
  assert.match((await post('/pooling', { input: 'no marker' })).body.error.message, /no step marker <prm>/)
  const ids = texts.map((text) => [...prm.tokenizer.prefixIds, ...prm.tokenizer.encode(text)])
  assert.equal((await post('/v1/pooling', { input: ids })).body.data, raw.body.data, 'token ids')
  assert.equal((await post('/classify', { input: ids[0] })).body.data[0].steps, expected[0]?.scores)
  assert.match((await post('/pooling', { input: [[9e8]] })).body.error.message, /no token has the id 900000000/)
  for (const { body } of [pooled, raw]) assert.ok(body.usage.prompt_tokens > 5 && body.usage.total_tokens > 5)
})

test('fields of vLLM’s pooling: what changes nothing is taken, what would change the numbers is refused', async () => {
  const input = 'a<prm>b<prm>'
  const { body } = await post('/pooling', { input })
  const neutral = {
    task: 'token_classify',
    use_activation: true,
    truncate_prompt_tokens: -1,
    encoding_format: 'float',
    user: 'me',
  }
  const more = { priority: 0, add_special_tokens: true, dimensions: null, chat_template: null, request_id: 'a' }
  assert.equal((await post('/pooling', { input, ...neutral, ...more })).body.data, body.data)
  for (const [field, words] of [
    [{ use_activation: false }, /use_activation: must be true: probabilities are told; .*returnLogits/],
    [{ truncate_prompt_tokens: 3 }, /truncate_prompt_tokens: must be -1/],
    [{ task: 'embed' }, /task: must be token_classify, reward or encode/],
    [{ task: 'classify' }, /task: must be token_classify, reward or encode/],
    [{ encoding_format: 'base64' }, /encoding_format: must be "float"/],
    [{ chat_template: '{{ x }}' }, /chat_template: is not supported/],
    [{ input: undefined, inputs: input }, /unknown option "inputs".*input/],
  ] as const) {
    const refused = await post('/pooling', { input, ...field })
    assert.is(refused.status, 400, JSON.stringify(field))
    assert.match(refused.body.error.message, words)
  }
  assert.is((await post('/classify', { input, task: 'classify' })).status, 200)
  const perStep = await post('/classify', { input, task: 'token_classify' })
  assert.match(perStep.body.error.message, /task: must be classify: \/pooling answers for each step/)
})

test('a PRM on a server is the scorer that it is here: name, scores, logits, and what is wrong', async () => {
  await using there = await openScorer({ server: server.url })
  await using here = await openScorer({ model: join(MODELS, 'mini-prm') })
  assert.is(there.name, here.name)
  const request = { problem: PROBLEM, solutions: [['So 35 + 11 = 46.', '46'], [], [' ']] }
  assert.equal(await there.score(request), await here.score(request))
  const bad = await there.score({ problem: PROBLEM, solutions: [[' ']] }).catch((e) => e)
  assert.is(bad.code, 'ERR_ENGINE_INVALID_ARGUMENT')
  await using without = await serve({ policy })
  const refused = await openScorer({ server: without.url, attempts: 1 }).catch((e) => e)
  assert.match(refused.message, /scores no steps; start one with mm-prm serve --prm/)
})

test('several pictures are scored and asked about as in process', async () => {
  const two = { question: 'Is <image> like <image>?', images: [PICTURE, PICTURE], steps: ['Yes.'] }
  assert.equal((await post('/v1/score/steps', two)).body, { scores: await prm.scoreSteps(two) })
  const wrong = await post('/v1/score/steps', { ...two, images: [PICTURE] })
  assert.is(wrong.status, 400)
  assert.match(wrong.body.error.message, /2 marks <image>, but one picture was given/)
  const image = { type: 'image_url', image_url: { url: PICTURE } }
  const text = (words: string) => ({ type: 'text', text: words })
  const content = [text('Is '), image, text(' like '), image, text('?')]
  const { body } = await post('/v1/chat/completions', { messages: [{ role: 'user', content }], seed: 3, max_tokens: 8 })
  const messages = [{ role: 'user' as const, content: 'Is <image> like <image>?' }]
  const [expected] = await policy.generate({ messages, images: [PICTURE, PICTURE], seed: 3, maxTokens: 8 })
  assert.is(body.choices[0].message.content, expected?.text)
})

test.run()

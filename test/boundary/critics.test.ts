/** Generative judges over the package's own engine and over a server that tells log-probabilities. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { openScorer } from '../../ts/kit/index.ts'
import { chatCritic, engineCritic } from '../../ts/policy/index.ts'
import { openSandbox } from '../../ts/sandbox/index.ts'
import { type Behaviour, completion, sendJson, startChatServer } from '../helpers/chat-server.ts'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'
import { startCli } from '../helpers/cli.ts'

const MODEL = pickCheckpoint({ architecture: /^Qwen2ForCausalLM$/, scoring: 'recognised' })
const problem = { id: 'p', question: 'What is 3 + 4?', answer: '7' }
const steps = ['We add.', '3 + 4 = 7.']
const sampling = { temperature: 1, topP: 1, topK: 0, maxTokens: 12, seed: 3 }

test('a choice is the model’s own probability of that very token behind the continued turn', async () => {
  await using engine = await Engine.open({ model: MODEL, weights: 'f32' })
  const user = { role: 'user' as const, content: 'Is it right?' }
  const messages = [user, { role: 'assistant' as const, content: 'It is a' }]
  const choices = [' b', ' c', 'A']
  const ids = choices.map((choice) => engine.tokenizer.encodePlain(choice, false))
  const usable = choices.filter((_, i) => ids[i]?.length === 1)
  const tokens = engine.tokenizer.encode('<|im_start|>user\nIs it right?<|im_end|>\n<|im_start|>assistant\nIt is a')
  const { logits, width } = await engine.logits({ tokens, rows: [tokens.length - 1] })
  const total = [...logits].reduce((sum, l) => sum + Math.exp(l), 0)
  assert.is(logits.length, width)
  const single = ['A', 'b', ...usable].slice(0, 3)
  const expected = single.map((c) => (logits[engine.tokenizer.encodePlain(c, false)[0] as number] as number) - Math.log(total))
  const told = await engineCritic(engine).choose({ messages, choices: single })
  told.forEach(({ logprob, isBound }, i) => {
    assert.ok(Math.abs(logprob - (expected[i] as number)) < 1e-5 && !isBound)
  })
  const error = await engine.choiceLogprobs({ messages, choices: ['A', 'two words of it'] }).catch((e) => e)
  assert.match((error as EngineError).message, /the choice "two words of it" is \d+ tokens of this model, and must be one/)
})

test('the words of a sample depend on seed and number alone; a folder judges under one name', async () => {
  await using engine = await Engine.open({ model: MODEL })
  const critic = engineCritic(engine)
  const messages = [{ role: 'user' as const, content: 'Judge.' }]
  const write = (sample: number, seed = 3) => critic.write({ messages, sampling: { ...sampling, seed }, sample })
  const together = await Promise.all([0, 1, 2].map((sample) => write(sample)))
  assert.equal([await write(0), await write(1), await write(2)], together)
  assert.is(new Set([...together, await write(0, 4)]).size, 4)
  await using scorer = await openScorer({ model: MODEL, scoring: 'critique', judgements: 2, judgementTokens: 8, seed: 5 })
  assert.is(scorer.name, `critique@${engine.identity()}+n=2+tokens=8+seed=5`)
  const [scored] = await scorer.score({ problem, solutions: [steps] })
  assert.match(scored?.error ?? '', /none of 2 judgements could be read/, 'a random model names no step')
})

test('on a server: the turn is continued, the next token’s list is read by exact text', async () => {
  const listed = [
    { token: 'Yes', logprob: Math.log(0.5) },
    { token: ' Yes', logprob: Math.log(0.3) },
    { token: ' No', logprob: Math.log(0.1) },
  ]
  const server = await startChatServer((request, response) => {
    const answer = completion([request['logprobs'] ? 'Yes' : 'Good. Is the step correct (Yes/No)? No'])
    if (request['logprobs'])
      Object.assign(answer.choices[0] as object, { logprobs: { content: [{ ...listed[0], top_logprobs: listed }] } })
    sendJson(response, 200, answer)
  })
  const scorer = await openScorer({ server: server.baseUrl, model: 'judge', scoring: 'r-prm', judgements: 2 })
  const [scored] = await scorer.score({ problem, solutions: [steps] })
  assert.equal(
    scored?.scores.map((p) => p.toFixed(9)),
    ['0.750000000', '0.750000000'],
  )
  const [written, chosen] = [server.requests.filter((r) => !r['logprobs']), server.requests.filter((r) => r['logprobs'])]
  assert.equal(new Set(written.map((r) => r.seed)), new Set([0, 1]))
  for (const request of chosen) {
    assert.equal(
      [request['continue_final_message'], request['add_generation_prompt'], request['max_tokens'], request['top_logprobs']],
      [true, false, 1, 20],
    )
    assert.ok(request['messages'].at(-1).content.endsWith('Is the step correct (Yes/No)?'))
  }
  const told = await chatCritic({ baseUrl: server.baseUrl, model: 'judge' }).choose({
    messages: [{ role: 'user', content: 'x' }],
    choices: ['yes', ' Yes'],
  })
  assert.equal(told, [
    { logprob: Math.log(0.1), isBound: true },
    { logprob: Math.log(0.3), isBound: false },
  ])
  await server.close()
})

const sandboxed = await openSandbox().then(
  () => test,
  (error: Error) => {
    console.log(`skipped: ${error.message}`)
    return test.skip
  },
)

sandboxed('a judge’s code is run where it is asked for, and what it printed is told', async () => {
  const listed = [
    { token: 'Yes', logprob: Math.log(0.6) },
    { token: 'No', logprob: Math.log(0.2) },
  ]
  const server = await startChatServer((request, response) => {
    const last: string = request['messages'].at(-1).content
    const text = last.includes('[Code Output]') ? '</verify>\n<output>\n**Judgement**: $' : 'x = 3 + 4\nprint("sum", x)'
    const answer = completion([last.includes('</analyze>') ? text : 'Add them.'])
    if (request['logprobs'])
      Object.assign(answer.choices[0] as object, { logprobs: { content: [{ ...listed[0], top_logprobs: listed }] } })
    sendJson(response, 200, answer)
  })
  const options = { server: server.baseUrl, model: 'judge', judgements: 1 }
  const scorer = await openScorer({ ...options, scoring: 'genprm', runCode: true })
  const [scored] = await scorer.score({ problem, solutions: [steps] })
  const refused = await openScorer({ ...options, scoring: 'critique', runCode: true }).catch((e) => e)
  await server.close()
  assert.equal(
    scored?.scores.map((p) => p.toFixed(9)),
    ['0.750000000', '0.750000000'],
  )
  assert.match(scorer.name, /^genprm@judge.*\+code=python-3/)
  assert.is((scored?.words ?? '').split('[Code Output]\n\n```\nsum 7\n```\n</verify>').length, 3)
  assert.match((refused as EngineError).message, /critique writes no code that could be run/)
})

test('VRPRM in a folder sees the pictures, wherever the question has them', async () => {
  const model = pickCheckpoint({ architecture: /Qwen3VL/ })
  const [image = ''] = picturesOf(pickCheckpoint({ sharded: false, vision: true, kind: 'trainIds', file: 'tokenizer.json' }))
  await using scorer = await openScorer({ model, scoring: 'vrprm', judgementTokens: 8, weights: 'f32' })
  const score = (more: object) => scorer.score({ problem: { ...problem, ...more }, solutions: [steps] })
  const [blind] = await score({})
  const [shown] = await score({ image })
  const [marked] = await score({ image, question: '<image>What is 3 + 4?' })
  for (const one of [blind, shown]) assert.is(one?.scores.length, 2)
  assert.equal(marked, shown)
  assert.not.equal(shown?.words, blind?.words)
})

test('a server that tells no probabilities is no such judge', async () => {
  const server = await startChatServer((_, response) => sendJson(response, 200, completion(['Is the step correct (Yes/No)?'])))
  const scorer = await openScorer({ server: server.baseUrl, model: 'judge', scoring: 'r-prm', judgements: 1 })
  const error = await scorer.score({ problem, solutions: [steps] }).catch((e) => e)
  await server.close()
  assert.is((error as EngineError).code, 'ERR_ENGINE_POLICY')
  assert.match((error as EngineError).message, /problem p: critic: .* gave no log-probabilities/)
  const unknown = await openScorer({ model: join(MODEL), scoring: 'r-prn' }).catch((e) => e)
  assert.match((unknown as EngineError).message, /no scoring family "r-prn"/)
})

/** Solutions of which one in four is right; as a judge it finds the error of the others. */
const both: Behaviour = (request, response) => {
  if (request['model'] === 'judge') {
    const isRight = JSON.stringify(request['messages']).includes('3 + 4 = 7')
    return sendJson(response, 200, completion([`Checked. \\boxed{${isRight ? -1 : 0}}`]))
  }
  const sums = Array.from({ length: request.n }, (_, i) => ((request.seed ?? 0) + i) % 4)
  const texts = sums.map((off) => `<step>3 + 4 = ${7 + off}</step><answer>The final answer is ${7 + off}</answer>`)
  sendJson(response, 200, completion(texts))
}

test('the command line: a judge on a server chooses the best of n; a folder judges lines', async () => {
  const work = mkdtempSync(join(tmpdir(), 'mm-prm-critics-'))
  const file = join(work, 'problems.jsonl')
  writeFileSync(file, JSON.stringify(problem))
  const server = await startChatServer(both)
  const asked = [
    'best-of-n',
    '--problems',
    file,
    '--policy',
    'openai',
    '--endpoint',
    server.baseUrl,
    '--model',
    'writer',
    '-n',
    '8',
  ]
  const judge = ['--prm', server.baseUrl, '--judgements', '2']
  const chosen = startCli([
    ...asked,
    ...judge,
    '--out',
    join(work, 'run'),
    '--scoring',
    'critique',
    '--prm-model',
    'judge',
    '--json',
  ])
  const lines = join(work, 'lines.jsonl')
  writeFileSync(lines, JSON.stringify({ id: 1, question: problem.question, solutions: [steps, steps] }))
  const scored = startCli([
    'score',
    '--model',
    MODEL,
    '--input',
    lines,
    '--scoring',
    'critique',
    '--judgements',
    '1',
    '--judgement-tokens',
    '4',
  ])
  const unnamed = startCli([...asked, ...judge, '--out', join(work, 'other'), '--scoring', 'critique'])
  const misplaced = startCli([...asked, ...judge, '--out', join(work, 'other')])
  const [best, own, nameless, foreign] = await Promise.all([chosen.ended, scored.ended, unnamed.ended, misplaced.ended])
  await server.close()
  rmSync(work, { recursive: true, force: true })
  assert.is(best.code, 0, best.stderr)
  const { table } = JSON.parse(best.stdout)
  const value = (name: string) => table.rows.find((row: { name: string }) => row.name === name).estimate.value
  assert.equal([value('pass@1'), value('mean')], [0.25, 1], best.stdout)
  assert.equal(JSON.parse(own.stdout), {
    id: 1,
    scores: [null, null],
    errors: [0, 1].map((candidate) => {
      return { candidate, code: 'ERR_ENGINE_POLICY', message: 'step 1: none of 1 judgements could be read' }
    }),
  })
  assert.match(nameless.stderr, /--prm-model/)
  assert.match(foreign.stderr, /--judgements is for a judge in words: --scoring r-prm, genprm, thinkprm, vrprm, critique/)
})

test.run()

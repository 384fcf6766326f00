/** One place opens a folder, or a model on a server, as policy, scorer, judge or verifier. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { checkpointHash } from '../../ts/engine/checkpoint-hash.ts'
import type { Engine } from '../../ts/engine/engine.ts'
import { openJudge, openPolicy, openScorer, openVerifier } from '../../ts/kit/index.ts'
import { makeTasks } from '../../ts/mini/problems.ts'
import { nativePolicy } from '../../ts/policy/native.ts'
import { IN_DOMAIN } from '../../ts/tasks/index.ts'
import { behave, completion, sendJson, startChatServer } from '../helpers/chat-server.ts'

const MODELS = join(import.meta.dirname, '../../models')
const POLICY = join(MODELS, 'mini-policy')
const PRM = join(MODELS, 'mini-prm')
const MINI = { temperature: 1, topK: 50, topP: 0.95, repetitionPenalty: 1, maxTokens: 160 }
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-kit-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))
const tasks = await makeTasks(scratch, IN_DOMAIN, 'kit', 6, { part: 'test' })
const requests = tasks.map(({ problem }) => ({ problem, prefix: [], seed: 5, from: 0, count: 16 }))

async function refusal(promise: Promise<unknown>): Promise<EngineError> {
  const error = await promise.catch((e: unknown) => e)
  assert.instance(error, EngineError)
  return error as EngineError
}

test('a folder as policy is asked with the template that it records, and named by what it holds', async () => {
  await using policy = await openPolicy({ model: POLICY, sampling: MINI })
  const { modelHash, ...identity } = policy.identity
  assert.is(modelHash, checkpointHash(POLICY))
  assert.equal([identity.kind, identity.model, identity.template, identity.sampling], ['native', POLICY, 'prefill', MINI])
  assert.ok(policy.inFlight > 1)
  const rollouts = (await policy.rollouts(requests)).flat()
  const complete = rollouts.filter((r) => r.outcome === 'complete')
  assert.ok(complete.length >= 0.9 * rollouts.length, `${complete.length} of ${rollouts.length} are complete`)
  const engine = policy.engine as Engine
  const again = await nativePolicy(engine, { sampling: MINI }).rollouts(requests.slice(0, 1))
  assert.equal(again[0], rollouts.slice(0, 16), 'an engine of one’s own tells its template too')
})

test('what generate writes is what a policy writes and a scorer scores: the answer is the last step', async () => {
  await using policy = await openPolicy({ model: POLICY, sampling: MINI })
  await using scorer = await openScorer({ model: PRM })
  const [{ problem, ...more }] = requests as [(typeof requests)[0]]
  const [rollouts = []] = await policy.rollouts([{ problem, ...more }])
  const { maxTokens, ...sampling } = MINI
  const { question, image = '' } = problem
  const engine = policy.engine as Engine
  const completions = await engine.generate({ question, image, n: 16, seed: 5, maxTokens, sampling })
  assert.equal(
    completions.map(({ outcome, steps }) => ({ outcome, steps })),
    rollouts.map(({ outcome, steps }) => ({ outcome, steps })),
  )
  const solutions = completions.filter((c) => c.outcome === 'complete').map((c) => c.steps)
  const scored = await scorer.score({ problem, solutions })
  const prm = scorer.engine as Engine
  assert.equal(
    await prm.scoreSteps({ question, image, solutions }),
    scored.map((s) => s.scores),
  )
  for (const [i, { answer, steps }] of completions.filter((c) => c.outcome === 'complete').entries()) {
    assert.is(answer, steps.at(-1))
    assert.is(scored[i]?.scores.length, steps.length)
  }
})

test('a question is sampled alike by default, whoever is asked; a chat as the model has it', async () => {
  await using policy = await openPolicy({ model: POLICY })
  const [{ problem, ...more }] = requests as [(typeof requests)[0]]
  const [rollouts = []] = await policy.rollouts([{ problem, ...more, count: 4 }])
  const engine = policy.engine as Engine
  const { question, image = '' } = problem
  const byDefault = await engine.generate({ question, image, n: 4, seed: 5 })
  assert.equal(
    byDefault.map((c) => c.text),
    rollouts.map((r) => r.text),
  )
  const messages = [{ role: 'user' as const, content: question }]
  const plain = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 }
  const asked = { messages, image, n: 4, maxTokens: 40 }
  assert.equal(await engine.generate(asked), await engine.generate({ ...asked, sampling: plain }))
})

test('how a folder was opened is part of its name where it changes what is computed', async () => {
  const hash = checkpointHash(PRM)
  const names: [object, string][] = [
    [{}, hash],
    [{ cpu: { threads: 1, isa: 'reference' } }, hash],
    [{ weights: 'int8' }, `${hash}+int8`],
    [{ weights: 'f32', maxTiles: 2, exifOrientation: 'apply' }, `${hash}+f32+tiles=2+exif`],
  ]
  for (const [options, name] of names) {
    await using scorer = await openScorer({ model: PRM, ...options })
    assert.is(scorer.name, `mm-prm@${name}`)
    await using judge = await openJudge({ model: PRM, ...options })
    assert.is(judge.name, name)
  }
})

test('closing ends the model; a folder that cannot be what is asked is closed again', async () => {
  const policy = await openPolicy({ model: POLICY })
  await policy.close()
  await policy.close()
  assert.is((await refusal(policy.rollouts(requests.slice(0, 1)))).code, 'ERR_ENGINE_CLOSED')
  const silent = await refusal(openScorer({ model: POLICY }))
  assert.is(silent.code, 'ERR_ENGINE_UNSUPPORTED_MODEL')
  assert.match(silent.message, /mini-policy: .*name the scoring family: .*mm-prm, /)
  await using named = await openScorer({ model: PRM, scoring: 'mm-prm' })
  assert.match(named.name, /^mm-prm@/)
})

test('a record of another template is heeded', async () => {
  const folder = join(scratch, 'other')
  cpSync(POLICY, folder, { recursive: true })
  const record = JSON.parse(readFileSync(join(folder, 'mm-prm.json'), 'utf8'))
  writeFileSync(join(folder, 'mm-prm.json'), JSON.stringify({ ...record, template: 'mm-prm-v1' }))
  await using policy = await openPolicy({ model: folder })
  assert.is(policy.identity.template, 'mm-prm-v1')
  await using asked = await openPolicy({ model: folder, template: 'prefill' })
  assert.is(asked.identity.template, 'prefill')
})

test('a model on a server, in either form', async () => {
  const server = await startChatServer(behave)
  const problem = { id: 'p', question: 'How many?', answer: '5' }
  for (const where of [
    { server: server.baseUrl, model: 'm', concurrency: 3 },
    { server: { baseUrl: server.baseUrl, model: 'm', concurrency: 3 } },
  ]) {
    await using policy = await openPolicy({ ...where, sampling: { maxTokens: 9 } })
    assert.equal([policy.identity.kind, policy.identity.model, policy.inFlight, policy.engine], ['openai', 'm', 3, undefined])
    const [rollouts = []] = await policy.rollouts([{ problem, prefix: [], seed: 1, from: 0, count: 2 }])
    assert.equal(
      rollouts.map((r) => r.outcome),
      ['complete', 'complete'],
    )
  }
  assert.is(server.requests[0]?.['max_tokens'], 9)
  await server.close()
})

test('a verifier: rules, and a judge where they cannot decide', async () => {
  await using rules = await openVerifier()
  assert.is(rules.name, 'rules')
  assert.ok((await rules.verify({ id: 'p', question: '', answer: '1/2' }, '0.5')).match)
  const server = await startChatServer((_, response) => sendJson(response, 200, completion(['Yes'])))
  await using verifier = await openVerifier({ server: server.baseUrl, model: 'big' })
  assert.is(verifier.name, 'rules+judge:big')
  const verdict = await verifier.verify({ id: 'p', question: '', answer: 'a triangle of equal sides' }, 'an equilateral triangle')
  assert.equal([verdict.match, verdict.method, server.requests.length], [true, 'judge', 1])
  await server.close()
})

test('unknown options are told with the right ones', async () => {
  const cases: [() => Promise<unknown>, RegExp][] = [
    [
      () => openPolicy({ model: POLICY, wieghts: 'int8' } as never),
      /kit\.openPolicy: unknown option "wieghts" \(did you mean "weights"\?\)/,
    ],
    [() => openPolicy({} as never), /kit\.openPolicy: model/],
    [() => openPolicy(undefined as never), /kit\.openPolicy/],
    [() => openPolicy({ model: POLICY, template: 'prefil' }), /template/],
    [() => openPolicy({ server: 'http://127.0.0.1:1/v1', model: 'm', apikey: 'k' } as never), /did you mean "apiKey"/],
    [() => openPolicy({ server: 'http://127.0.0.1:1/v1' } as never), /model/],
    [() => openScorer({ model: PRM, scorin: 'x' } as never), /did you mean "scoring"/],
    [() => openScorer({ server: 'http://127.0.0.1:1/v1', modle: 'm' } as never), /did you mean "model"/],
    [() => openJudge({ server: 'nowhere', model: 'm' }), /baseUrl/],
    [() => openVerifier({ modle: 'm' } as never), /did you mean "model"/],
  ]
  for (const [open, message] of cases) {
    const error = await refusal(open())
    assert.is(error.code, 'ERR_ENGINE_INVALID_ARGUMENT')
    assert.match(error.message, message)
  }
})

test.run()

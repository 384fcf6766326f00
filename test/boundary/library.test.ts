/** The built package as its users import it: the declared surface is there, and its parts fit together. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as mmPrm from 'mm-prm'
import {
  checkpointHash,
  dataset,
  Engine,
  EngineError,
  type Policy,
  type Problem,
  policy,
  problems,
  type RunReader,
  search,
  select,
  store,
  verify,
} from 'mm-prm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pickCheckpoint, picturesOf } from '../helpers/checkpoint-files.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-library-'))
test.after(() => rmSync(scratch, { recursive: true }))

const SURFACE = {
  '': ['Engine', 'EngineError', 'ERROR_CODES', 'checkpointHash', 'initModel', 'serve', 'train'],
  hub: ['pull', 'resolveModel', 'cachedModels', 'parseName'],
  kit: ['openPolicy', 'openScorer', 'openJudge', 'openCritic', 'openVerifier'],
  policy: ['openAiPolicy', 'nativePolicy', 'scriptedPolicy', 'nativeScorer', 'chatJudge', 'engineJudge', 'policyJudge'],
  sandbox: ['openSandbox', 'DEFAULT_LIMITS'],
  search: ['STRATEGIES', 'findStrategy', 'omega', 'bestOfN', 'beam', 'runSearch', 'identityOf', 'WIDTH_SCHEDULES'],
  sql: ['sqlVerifier', 'observingScorer', 'observation', 'runQueries', 'databaseOf', 'SQL_LIMITS'],
  store: ['SqliteRunStore', 'openRun', 'runId'],
  critics: ['CRITIC_NAMES', 'criticScorer', 'analyse'],
  dataset: ['buildDataset', 'activeSamples', 'traverse', 'LABEL_KINDS', 'FORMAT_NAMES'],
  evaluation: ['STEP_TASKS', 'findTask', 'loadTask', 'scoreItems', 'stepResults'],
  problems: ['readProblems', 'curate', 'QUESTION_TYPES'],
  select: ['aggregate', 'bestOf', 'majorityVote', 'weightedVote', 'passAtK'],
  verify: ['ruleVerifier', 'verifyAnswer', 'extractAnswer', 'readAnswerBlock'],
}

test('what the package says it exports is there', () => {
  // biome-ignore lint/suspicious/noExplicitAny: namespaces of functions and values
  const all = mmPrm as any
  for (const [namespace, names] of Object.entries(SURFACE)) {
    const holder = namespace === '' ? all : all[namespace]
    for (const name of names) assert.ok(holder[name] !== undefined, `${namespace}.${name}`)
  }
  const namespaces = Object.keys(SURFACE).filter((name) => name !== '')
  assert.equal(Object.keys(all).sort(), [...SURFACE[''], ...namespaces].sort())
})

/** Solves a sum digit by digit; sometimes it slips in its second step. */
const solver: Policy = policy.scriptedPolicy(({ problem, prefix, seed }, index) => {
  const slips = prefix.some((step) => step.includes('slip')) || (prefix.length < 2 && (seed + index) % 3 === 0)
  const steps = ['Read the sum.', slips ? 'Add, with a slip.' : 'Add.', `The final answer is ${slips ? 1 : problem.answer}`]
  return { outcome: 'complete', steps: steps.slice(prefix.length), text: '' }
})

async function readAll(path: string): Promise<Problem[]> {
  const all: Problem[] = []
  for await (const row of problems.readProblems(path)) {
    assert.ok('problem' in row, JSON.stringify(row))
    all.push((row as { problem: Problem }).problem)
  }
  return all
}

async function searched<R>(name: string, settings: Omit<search.SearchRun, 'store'>, read: (reader: RunReader) => Promise<R>) {
  const folder = join(scratch, name)
  const run = store.SqliteRunStore.open({ folder, identity: search.identityOf(settings) })
  await search.runSearch({ ...settings, store: run })
  await run.close()
  const reader = store.openRun(folder)
  try {
    return await read(reader)
  } finally {
    reader.close()
  }
}

const BUDGET = { maxRollouts: 200, maxTokens: 1e9 }
const verifier = verify.ruleVerifier()

test('problems, curation, search, labels: one after the other, with a policy of one’s own', async () => {
  const file = join(scratch, 'problems.jsonl')
  const rows = [2, 3, 3, 4].map((n, i) => ({ id: `${i}`, question: `What is ${n} + ${n}?`, answer: `${2 * n}` }))
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'))
  const isVerifiable = (answer: string) => verify.canDecide(answer, answer)
  const kept: Problem[] = []
  for await (const { problem, dropped } of problems.curate({
    problems: await readAll(file),
    verifier,
    isVerifiable,
    policy: solver,
  })) {
    if (dropped) assert.is(dropped.reason, 'duplicate')
    else kept.push(problem)
  }
  assert.is(kept.length, 3)

  const options = search.omega.options.parse({ numRollouts: 4, maxSearches: 10 })
  const settings = {
    problems: kept,
    strategy: search.omega,
    options,
    budget: BUDGET,
    seed: 1,
    policy: solver,
    verifier,
    inFlight: 2,
  }
  const out = join(scratch, 'dataset')
  mkdirSync(out)
  const manifest = await searched('omega', settings, async (reader) => {
    assert.equal((await reader.summary()).problems, { running: 0, done: 3, failed: 0 })
    const trees = () => reader.trees()
    return dataset.buildDataset({ trees, out, formats: ['steps'], maxShortWords: 0, seed: 1, source: reader.runId })
  })
  assert.is(manifest.problems.used, 3)
  assert.ok(manifest.labels.count > 0 && manifest.labels.mean > 0 && manifest.labels.mean < 1)
  assert.ok(readdirSync(out).length > 0)
})

test('the engine as policy, scorer and judge; Best-of-N from its scores', async () => {
  const model = pickCheckpoint({ kind: 'scoreSolutions' })
  const [image = ''] = picturesOf(model)
  await using engine = await Engine.open({ model })
  const modelHash = checkpointHash(model)
  assert.match(modelHash, /^[0-9a-f]{16}$/)
  const native = policy.nativePolicy(engine, { model, modelHash, template: 'prefill', sampling: { maxTokens: 8 } })
  const problem = { id: 'p', question: 'How many?', answer: 'a dozen or so', image }
  const [rollouts = []] = await native.rollouts([{ problem, prefix: ['Count.'], seed: 1, from: 0, count: 2 }])
  assert.is(rollouts.length, 2)
  assert.ok(rollouts.every((r) => (r.numTokens as number) > 0 && r.outcome !== 'complete'))

  const scorer = policy.nativeScorer(engine, `mm-prm@${modelHash}`)
  const options = search.bestOfN.options.parse({ n: 3 })
  const settings = { strategy: search.bestOfN, options, budget: BUDGET, seed: 1, policy: solver, verifier, scorer, inFlight: 1 }
  const candidates = await searched('best-of-n', { ...settings, problems: [{ ...problem, answer: '12' }] }, async (reader) => {
    assert.is(reader.identity.scorer, scorer.name)
    for await (const found of reader.candidates()) return found.candidates
    return []
  })
  assert.is(candidates.length, 3)
  const values = candidates.map((c) => select.aggregate([...(c.scores ?? [])], 'min'))
  assert.ok(values.every((value) => value !== null && value > 0 && value < 1))
  const best = select.bestOf(values)[0] as number
  assert.is(values[best], Math.max(...(values as number[])))

  const judge = { ask: policy.engineJudge(engine, { maxTokens: 64 }), attempts: 2, backOffMs: 1 }
  const judging = verify.ruleVerifier({ judge })
  const error = await judging.verify(problem, 'about twelve').catch((e: unknown) => e)
  assert.instance(error, EngineError, 'a random model says neither yes nor no')
  assert.match((error as Error).message, /problem p: the judge gave no verdict in 2 attempts/)
})

test.run()

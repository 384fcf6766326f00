/** What a store of runs must do, asked of a folder and of a database alike. */
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { policyError } from '../../../ts/contracts/errors.ts'
import type { RolloutRequest } from '../../../ts/contracts/policy.ts'
import type { Problem } from '../../../ts/contracts/problem.ts'
import type { ProblemTree, SiblingScores } from '../../../ts/contracts/records.ts'
import type { RunReader } from '../../../ts/contracts/run-store.ts'
import type { StepScorer } from '../../../ts/contracts/scorer.ts'
import { scriptedPolicy } from '../../../ts/policy/scripted.ts'
import { identityOf, type SearchSettings } from '../../../ts/search/runner.ts'
import { beam } from '../../../ts/search/strategies/beam.ts'
import { bestOfN } from '../../../ts/search/strategies/best-of-n.ts'
import { omega, omegaOptions } from '../../../ts/search/strategies/omega.ts'
import { findNewNode, isNewEnough, startPostgres } from '../../helpers/postgres.ts'
import { runOmega } from '../../helpers/search.ts'
import { simulate, simulatedProblem, simulatedVerifier } from '../../helpers/simulated-policy.ts'
import { contentsOf, database, folders, type KeptRun, type StoreKind } from '../../helpers/stores.ts'

const postgres = isNewEnough() ? startPostgres() : undefined
const kinds: StoreKind[] = [folders(), ...(postgres ? [database(postgres.url)] : [])]
test.after(() => {
  for (const kind of kinds) kind.end()
  postgres?.stop()
})

const policy = scriptedPolicy(simulate)
const base: SearchSettings = {
  ...{ strategy: omega, options: omegaOptions.parse({ numRollouts: 4 }), seed: 7, policy, verifier: simulatedVerifier },
  budget: { maxRollouts: 100, maxTokens: 1e12 },
}
const numbered = (from: number, count: number) => Array.from({ length: count }, (_, i) => simulatedProblem(from + i))

async function treesOf(run: KeptRun): Promise<ProblemTree[]> {
  const reader = await run.read()
  const trees: ProblemTree[] = []
  for await (const tree of reader.trees()) trees.push(tree)
  await reader.close()
  return trees
}

async function summaryOf(run: KeptRun) {
  const reader = await run.read()
  const summary = await reader.summary()
  await reader.close()
  return summary
}

/** Counts what is asked of the policy, and may refuse some of it. */
function counted(refuses: (request: RolloutRequest) => boolean = () => false) {
  const asked: string[] = []
  const counting = scriptedPolicy((request, index) => {
    if (index === 0) asked.push(JSON.stringify([request.problem.id, request.seed, request.prefix]))
    if (refuses(request)) throw policyError(`problem "${request.problem.id}": no answer`)
    return simulate(request, index)
  })
  return { asked, policy: counting }
}

const ODD: Problem[] = [
  { ...simulatedProblem(4), image: 'pictures/a.png', meta: { grade: 7, b: 1, a: { z: [1, null], y: 2 } } },
  { ...simulatedProblem(5), image: new Uint8Array([1, 2, 3]) },
  { ...simulatedProblem(6), image: 'data:image/png;base64,AAAA', question: "a quote ', a \\ and a 𝒳, a NUL \0 and a\r\nline" },
  { ...simulatedProblem(7), meta: { ['k\0']: '\0', '': '' } },
  {
    ...{ ...simulatedProblem(8), answers: ['8.0'], choices: ['2', '8'], unit: 'cm', precision: 1, tolerance: [0.1] },
    images: ['data:image/png;base64,AAAA', new Uint8Array([1, 2, 3]), 'pictures/b.png'],
  },
]
/** Characters that a store may trip over, in all that a policy writes. */
const odd = scriptedPolicy((request, index) => {
  const rollout = simulate(request, index)
  const text = `${rollout.text} \0 \\u0000 ' 𝒳 ￿`
  const [first, ...rest] = rollout.steps
  return { ...rollout, text, steps: first === undefined || rest.length === 0 ? rollout.steps : [`${first} \0'\\ 𝒳`, ...rest] }
})

function suite(kind: StoreKind): void {
  const it = (name: string, work: () => Promise<void>) => test(`${kind.name}: ${name}`, work)

  it('trees come back as they were searched, in the order of the problems, with image and columns', async () => {
    const settings = { ...base, policy: odd }
    const run = kind.make(settings)
    const progress = await run.work(ODD)
    assert.is(progress.done, ODD.length)
    const trees = await treesOf(run)
    assert.is(trees.length, ODD.length)
    for (const [i, { problem, root }] of trees.entries()) {
      const wanted = ODD[i] as Problem
      const { tree } = await runOmega(wanted, { numRollouts: 4 }, { maxRollouts: 100, policy: odd })
      assert.equal(root, tree.root)
      const bytes = (picture: Problem['image']) => (picture instanceof Uint8Array ? [...picture] : picture)
      const plain = ({ image, images, ...rest }: Problem) => [bytes(image), images?.map(bytes), rest]
      assert.equal(plain(problem), plain(wanted))
    }
    const reader = await run.read()
    assert.equal(reader.identity, identityOf(settings))
    await reader.close()
    const { rollouts, correct, problems } = await summaryOf(run)
    assert.equal([rollouts, correct], [progress.rollouts, progress.correct])
    assert.equal(problems, { running: 0, done: ODD.length, failed: 0 })
  })

  it('candidates come back too, and no tree where there is none', async () => {
    const options = bestOfN.options.parse({ n: 4 })
    const run = kind.make({ ...base, strategy: bestOfN, options })
    const problems = numbered(20, 5)
    await run.work(problems)
    const reader = await run.read()
    const found = []
    for await (const one of reader.candidates()) found.push(one)
    const { tokens } = await reader.summary()
    await reader.close()
    assert.ok(found.every((one) => one.tokens > 0))
    assert.is(
      found.reduce((sum, one) => sum + one.tokens, 0),
      tokens,
    )
    assert.equal(
      found.map(({ problem, candidates }) => [problem.id, candidates.map(({ index }) => index)]),
      problems.map(({ id }) => [id, [0, 1, 2, 3]]),
    )
    assert.equal(await treesOf(run), [])
  })

  it('what is finished is not asked for again', async () => {
    const run = kind.make(base)
    await run.work(numbered(30, 4))
    const { asked, policy: counting } = counted()
    assert.is((await run.work(numbered(30, 4), { policy: counting })).done, 0)
    assert.equal(asked, [])
  })

  it('a run that was stopped goes on where it stood: nothing durable is asked for twice, the trees are the same', async () => {
    const problems = numbered(40, 8)
    const run = kind.make(base)
    const stop = new AbortController()
    const first = counted(() => {
      if (first.asked.length === 60) stop.abort(new Error('enough'))
      return false
    })
    const error = await run.work(problems, { policy: first.policy, signal: stop.signal }).catch((e) => e)
    assert.is(error.code, 'ERR_ENGINE_ABORTED')
    const durable = (await summaryOf(run)).evaluations
    assert.ok(durable > 20)
    const second = counted()
    await run.work(problems, { policy: second.policy })
    assert.is((await summaryOf(run)).evaluations - durable, second.asked.length)
    assert.equal(new Set(second.asked).size, second.asked.length)
    for (const { problem, root } of await treesOf(run)) {
      const { tree } = await runOmega(problem, { numRollouts: 4 }, { maxRollouts: 100 })
      assert.equal(root, tree.root)
    }
  })

  it('a problem whose policy fails is left with the reason; the others go on; taken up again it is finished', async () => {
    const problems = numbered(60, 6)
    const run = kind.make(base)
    const broken = counted(({ problem }) => problem.id === 'sim-63')
    const progress = await run.work(problems, { policy: broken.policy })
    assert.is(progress.done, 5)
    const { problems: counts, failures } = await summaryOf(run)
    assert.equal(counts, { running: 0, done: 5, failed: 1 })
    assert.equal(
      failures.map(({ id }) => id),
      ['sim-63'],
    )
    assert.match(failures[0]?.reason ?? '', /no answer/)
    assert.is((await treesOf(run)).length, 5)
    assert.is((await run.work(problems)).done, 1)
    assert.equal(
      (await treesOf(run)).map(({ problem }) => problem.id),
      problems.map(({ id }) => id),
    )
  })

  it('a verdict that was given is not asked for again, with what its judge said', async () => {
    const [problem] = numbered(80, 1) as [Problem]
    const run = kind.make(base)
    const judged: string[] = []
    const judge = {
      ...simulatedVerifier,
      verify: async (about: Problem, answer: string) => {
        judged.push(answer)
        return { match: answer === about.answer, method: 'judge', raw: `it says "${answer}" \0` }
      },
    }
    const stop = new AbortController()
    const first = counted(() => {
      if (first.asked.length === 12) stop.abort(new Error('enough'))
      return false
    })
    await run.work([problem], { policy: first.policy, verifier: judge, signal: stop.signal }).catch(() => {})
    const before = judged.length
    assert.ok(before > 0)
    await run.work([problem], { verifier: judge })
    // What stood in the last, lost evaluation may be judged once more; nothing else is.
    assert.ok(judged.length - new Set(judged).size <= 4, `${judged.length} verdicts of ${new Set(judged).size} answers`)
  })

  it('is read while it is written', async () => {
    const run = kind.make(base)
    const seen: number[] = []
    let reader: Promise<RunReader> | undefined
    const watched = scriptedPolicy(async (request, index) => {
      reader ??= run.read()
      if (index === 0 && request.prefix.length > 0) seen.push((await (await reader).summary()).evaluations)
      return simulate(request, index)
    })
    await run.work(numbered(90, 4), { policy: watched })
    await (await reader)?.close()
    assert.ok(seen.some((n) => n > 0))
    assert.ok((seen.at(-1) as number) <= (await summaryOf(run)).evaluations)
    assert.ok(new Set(seen).size > 3, 'what is durable is seen')
  })

  it('who works on a problem sees all of it: options, tolerance, further answers, several pictures', async () => {
    const problem: Problem = {
      ...{ id: 'whole', question: 'Which of <image1> and <image2>?', answer: '104', answers: ['104.0'], choices: ['2', '104'] },
      ...{ unit: 'cm', precision: 1, tolerance: [0.1], answerType: 'float', meta: { a: 1 } },
      images: ['data:image/png;base64,AAAA', new Uint8Array([1, 2, 3])],
    }
    const seen: Problem[] = []
    const sees = scriptedPolicy((request, index) => {
      seen.push(request.problem)
      return simulate(request, index)
    })
    const verify = (about: Problem, answer: string) => {
      seen.push(about)
      return simulatedVerifier.verify(about, answer)
    }
    const judges = { ...simulatedVerifier, verify }
    await kind.make(base).work([problem], { policy: sees, verifier: judges })
    const plain = ({ images, ...rest }: Problem) => [rest, images?.map((i) => (typeof i === 'string' ? i : [...i]))]
    assert.ok(seen.length > 4)
    for (const one of seen) assert.equal(plain(one), plain(problem))
  })

  it('keeps what a scorer made of siblings, and how sure it was', async () => {
    // Two next steps of each prefix; the second of three is the answer, and b is liked less and known less.
    const walks = scriptedPolicy(({ prefix }, index) => {
      const step = prefix.length < 2 ? `${'ab'[index % 2]} ${prefix.length}` : 'The final answer is 1'
      return { outcome: prefix.length < 2 ? 'stopped' : 'complete', steps: [step], text: step, numTokens: 1 }
    })
    const last = (steps: readonly string[]) => (steps.at(-1)?.startsWith('b') ? 0.25 : 0.75)
    const scorer: StepScorer = {
      name: 'liking',
      score: async ({ solutions }) =>
        solutions.map((steps) => ({
          scores: steps.map((_, i) => last(steps.slice(0, i + 1))),
          std: steps.map((_, i) => (1 - last(steps.slice(0, i + 1))) / 2),
        })),
    }
    const settings = { ...base, strategy: beam, options: beam.options.parse({ width: 1, branch: 2 }), policy: walks, scorer }
    const run = kind.make(settings)
    assert.is((await run.work(numbered(120, 2))).done, 2)
    const reader = await run.read()
    const seen: [string, SiblingScores[]][] = []
    for await (const { problem, siblings } of reader.siblings()) seen.push([problem.id, siblings])
    const { id } = simulatedProblem(120)
    assert.equal(
      seen.map(([problemId, siblings]) => [problemId, siblings.length]),
      numbered(120, 2).map((p) => [p.id, 3]),
    )
    assert.equal(seen[0]?.[1].slice(0, 2), [
      { problemId: id, prefix: [], steps: ['a 0', 'b 0'], scores: [0.75, 0.25], std: [0.125, 0.375] },
      { problemId: id, prefix: ['a 0'], steps: ['a 1', 'b 1'], scores: [0.75, 0.25], std: [0.125, 0.375] },
    ])
    for await (const { candidates } of reader.candidates()) assert.equal(candidates[0]?.std, [0.125, 0.125, 0.125])
    await reader.close()
  })

  it('of two runs of other settings neither knows the other', async () => {
    const [a, b] = [kind.make(base), kind.make({ ...base, seed: 8 })]
    const problems = numbered(100, 2)
    for (const run of [a, b]) assert.is((await run.work(problems)).done, 2)
    const [ofA, ofB] = await Promise.all([treesOf(a), treesOf(b)])
    assert.not.equal(ofA, ofB)
    const { tree } = await runOmega(problems[0] as Problem, { numRollouts: 4 }, { maxRollouts: 100, seed: 8 })
    assert.equal(ofB[0]?.root, tree.root)
  })
}

for (const kind of kinds) suite(kind)

if (kinds.length > 1) {
  test('all stores say the same of the same run, byte for byte', async () => {
    const problems = [...ODD, ...numbered(110, 2)]
    const told: string[] = []
    for (const kind of kinds) {
      const run = kind.make({ ...base, policy: odd, seed: 9 })
      await run.work(problems)
      told.push(await contentsOf(await run.read()))
    }
    for (const text of told) assert.is(text, told[0])
  })
}

if (!isNewEnough()) {
  const newNode = findNewNode()
  const elsewhere = newNode ? test : test.skip
  if (!newNode) console.log('skipped: no Node from 22.12 on, which PostgreSQL needs, could be had')
  elsewhere('the same under Node 22, of PostgreSQL too', () => {
    const args = ['--import', 'tsx', import.meta.filename]
    const { status, stdout, stderr } = spawnSync(newNode as string, args, { encoding: 'utf8', timeout: 300_000 })
    console.log(stdout.trim())
    assert.is(status, 0, stderr)
  })
} else if (!postgres) {
  test.skip('PostgreSQL is not installed here', () => {})
}

test.run()

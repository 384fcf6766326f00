/** Text-to-SQL: queries run in a sandbox, verdicts by sets of rows, what steps give before they are scored. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { cutQuery } from '../../../ts/contracts/cte.ts'
import type { StepScorer } from '../../../ts/contracts/scorer.ts'
import type { Engine } from '../../../ts/engine/engine.ts'
import { openObservingScorer } from '../../../ts/kit/index.ts'
import { openSandbox } from '../../../ts/sandbox/index.ts'
import { observation, observingScorer, runQueries, SQL_LIMITS, sqlVerifier } from '../../../ts/sql/index.ts'
import { findDoor } from '../../../ts/store/driver.ts'
import { openRun } from '../../../ts/store/reader.ts'
import { type SqlProblem, sqlDatabase, sqlProblem } from '../../../ts/tasks/sql.ts'
import { completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'
import { startCli } from '../../helpers/cli.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-sql-'))
test.after(() => rmSync(work, { recursive: true, force: true }))
const file = join(work, 'small.sqlite')
const database = findDoor().open(file)
database.exec('CREATE TABLE t (a INTEGER, b TEXT, c REAL)')
database.exec("INSERT INTO t VALUES (1, 'x', 1.0), (2, 'y', 2.5), (2, 'y', 2.5), (3, NULL, 3.0)")
database.close()

const runner = await openSandbox().catch((error: Error) => error)
if (runner instanceof Error) console.log(`skipped: ${runner.message}`)
const inSandbox = runner instanceof Error ? test.skip : test
const sandbox = () => {
  if (runner instanceof Error) throw runner
  return runner
}
const run = (queries: string[], limits = SQL_LIMITS) => runQueries(sandbox(), file, queries, limits)
const problem = { id: 'p', question: 'Which?', answer: 'SELECT a, b FROM t', meta: { db_id: 'small' } }

inSandbox('a query’s rows count as a set, and are shown as Python shows them', async () => {
  const [all, other, whole, empty, none] = await run([
    'SELECT a, b FROM t',
    'SELECT DISTINCT a, b FROM t ORDER BY a DESC',
    'SELECT c, b FROM t WHERE a <> 2 UNION SELECT 2, "y"',
    'SELECT a FROM t WHERE 0',
    'SELECT gone FROM t',
  ])
  assert.equal(all, { ...all, rows: 4, shown: "{(1, 'x'): 1, (2, 'y'): 2, (3, None): 1}" })
  const set = (result: typeof all) => (result && 'set' in result ? result.set : undefined)
  assert.is(set(other), set(all), 'order and repetitions do not count')
  assert.is(set(whole), set(all), '1.0 is 1')
  assert.not.equal(set(empty), set(all))
  assert.equal(none, { error: 'no such column: gone', outOfTime: false })
})

inSandbox('nothing is written, no other file is read, rows and time have bounds', async () => {
  const before = createHash('sha256').update(readFileSync(file)).digest('hex')
  const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT'
  const queries = [
    'DROP TABLE t',
    "INSERT INTO t VALUES (9, 'z', 1)",
    `ATTACH '${file}' AS other`,
    "SELECT load_extension('/usr/lib/x.so')",
    'SELECT 1; DROP TABLE t',
    "SELECT writefile('x', 'y')",
    `${endless} i FROM n`,
    `${endless} max(i) FROM n`,
    'SELECT zeroblob(2000000000)',
  ]
  const results = await run(queries, { rows: 1000, seconds: 1 })
  const errors = results.map((result) => ('error' in result ? result.error : 'NONE'))
  assert.match(errors[0] as string, /readonly/)
  assert.match(errors[1] as string, /readonly/)
  assert.match(errors[2] as string, /unable to open/)
  assert.match(errors[3] as string, /not authorized/)
  assert.match(errors[4] as string, /one statement/)
  assert.match(errors[5] as string, /no such function/)
  assert.is(errors[6], 'more than 1000 rows')
  assert.is(errors[7], 'out of time')
  assert.not.equal(errors[8], 'NONE')
  assert.is(createHash('sha256').update(readFileSync(file)).digest('hex'), before)
})

inSandbox('the verifier: a solution is one query, right by its rows; what is out of time is not wrong', async () => {
  const verifier = sqlVerifier({ databases: work, runner: sandbox(), limits: { seconds: 1 } })
  assert.is(verifier.name, 'sql+rows=100000+seconds=1')
  assert.is(verifier.extract('```sql\nSELECT 1;\n```'), 'SELECT 1')
  assert.is(verifier.extract('I do not know.'), null)
  const verdict = (answer: string) => verifier.verify(problem, answer)
  assert.equal(await verdict('SELECT DISTINCT a, b FROM t'), { match: true, method: 'sql' })
  assert.equal(await verdict('SELECT b, a FROM t'), { match: false, method: 'sql' })
  assert.equal(await verdict('SELECT x FROM t'), { match: false, method: 'sql', raw: 'no such column: x' })
  const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n'
  assert.equal(await verdict(endless), { match: false, method: 'undecided', raw: 'out of time' })
  const refusal = async (other: object) =>
    String((await verifier.verify({ ...problem, ...other }, 'SELECT 1').catch((e) => e)).message)
  assert.match(await refusal({ answer: 'SELECT' }), /problem "p": its own query does not run: incomplete input/)
  assert.match(await refusal({ meta: { db_id: '../small' } }), /problem "p": a column "db_id" must name its database/)
  assert.match(await refusal({ meta: {} }), /db_id.*got none/)
  assert.match(await refusal({ meta: { db_id: 'absent' } }), /problem "p": no database: neither .*absent\.sqlite/)
})

const steps = ['WITH u AS (SELECT a FROM t WHERE a > 1),', 'v AS (SELECT max(a) AS top FROM u)', 'SELECT top FROM v']

inSandbox('a scorer sees what each step gives; what does not run has no score', async () => {
  assert.equal(
    steps.map((_, i) => observation(steps, i)),
    [
      'WITH u AS (SELECT a FROM t WHERE a > 1)\nSELECT * FROM u LIMIT 50',
      'WITH u AS (SELECT a FROM t WHERE a > 1),\nv AS (SELECT max(a) AS top FROM u)\nSELECT * FROM v LIMIT 50',
      steps.join('\n'),
    ],
  )
  const seen: (readonly string[])[] = []
  const plain: StepScorer = {
    name: 'plain',
    score: async ({ solutions }) => solutions.map((list) => ({ scores: list.map(() => seen.push(list) && 0.5) })),
  }
  const engine = {} as Engine
  const close = async () => {}
  const observing = await openObservingScorer({ ...plain, engine, close, [Symbol.asyncDispose]: close }, work)
  assert.is(observing.engine, engine, 'which tells the class of devices')
  const scorer = observingScorer(plain, { databases: work, runner: sandbox() })
  assert.is(scorer.name, 'plain+observed')
  const broken = ['WITH u AS (SELECT a FROM gone)', 'SELECT a FROM u']
  const unfinished = ['WITH u AS (SELECT a FROM gone),']
  const scored = await scorer.score({ problem, solutions: [broken, steps, [], unfinished] })
  assert.equal(scored, [
    { scores: [], error: 'the query does not run: no such table: gone' },
    { scores: [0.5, 0.5, 0.5] },
    { scores: [] },
    { scores: [0.5] },
  ])
  assert.equal(seen[0], [
    `${steps[0]}<result>{(2,): 2, (3,): 1}</result>`,
    `${steps[1]}<result>{(3,): 1}</result>`,
    `${steps[2]}<result>{(3,): 1}</result>`,
  ])
  assert.equal(seen.at(-1), [`${unfinished[0]}<result>Total SQL result:0, Execution error: no such table: gone</result>`])
})

inSandbox('problems of our own: made again by seed, their queries run and are of as many steps as they say', async () => {
  const problems = Array.from({ length: 40 }, (_, i) => sqlProblem('s', i))
  assert.equal(
    problems,
    Array.from({ length: 40 }, (_, i) => sqlProblem('s', i)),
  )
  const { db_id, statements } = sqlDatabase('s', 0)
  const path = join(work, `${db_id}.sqlite`)
  const made = findDoor().open(path)
  for (const statement of statements) made.exec(statement)
  made.close()
  const own = problems.filter((p) => p.db_id === db_id)
  assert.ok(own.length === 10)
  const results = await runQueries(
    sandbox(),
    path,
    own.map((p) => p.answer),
    SQL_LIMITS,
  )
  for (const [i, { answer, level }] of own.entries()) {
    assert.is(cutQuery(answer).length, level + 1, answer)
    assert.ok('set' in (results[i] as object), `${answer}: ${JSON.stringify(results[i])}`)
  }
})

inSandbox('from the command line: problems, a policy of queries, verdicts and observed scores in a run', async () => {
  const out = join(work, 'task')
  const made = await startCli(['tasks', '--sql', '--out', out, '--count', '4', '--seed', '7']).ended
  assert.is(made.code, 0, made.stderr)
  const problems: SqlProblem[] = readFileSync(join(out, 'problems.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const module = join(work, 'observed.mjs')
  writeFileSync(
    module,
    "export default { name: 'm', score: async ({ solutions }) => solutions.map((s) => ({ scores: s.map((x) => (/<result>.*<\\/result>$/.test(x) ? 0.9 : 0.1)) })) }",
  )
  const server = await startChatServer((request, response) => {
    const asked = JSON.stringify(request['messages'])
    const own = problems.find((p) => asked.includes(JSON.stringify(p.question).slice(1, -1))) as SqlProblem
    const texts = Array.from({ length: request.n ?? 1 }, (_, i) => {
      const kind = ((request.seed ?? 0) + i) % 3
      return [`\`\`\`sql\n${own.answer};\n\`\`\``, 'SELECT -1', 'SELECT FROM'][kind] as string
    })
    sendJson(response, 200, completion(texts))
  })
  const model = ['--policy', 'openai', '--endpoint', server.baseUrl, '--model', 'm', '--template', 'plain', '--steps', 'cte']
  const sql = ['--verifier', 'sql', '--databases', join(out, 'databases'), '--scorer', module, '--observe']
  const search = ['search', '--strategy', 'best-of-n', '--set', 'n=6', '--problems', join(out, 'problems.jsonl')]
  const ended = await startCli([...search, ...model, ...sql, '--out', join(work, 'run')]).ended
  const nowhere = await startCli([...search, ...model, '--verifier', 'sql', '--out', join(work, 'no')]).ended
  await server.close()
  assert.is(ended.code, 0, ended.stderr + ended.stdout)
  assert.match(nowhere.stderr, /--databases is required/)
  const reader = openRun(join(work, 'run'))
  assert.match(`${reader.identity.verifier} ${reader.identity.scorer}`, /^sql\+rows=\d+\+seconds=\d+ m@[0-9a-f]{16}\+observed$/)
  let count = 0
  for await (const { problem: asked, candidates } of reader.candidates()) {
    const shown = candidates.map((c) => [c.correct, c.scores?.length ?? 0, c.scores?.[0] ?? null])
    const { length } = cutQuery(asked.answer)
    assert.equal(
      shown.filter(([right]) => right),
      [1, 2].map(() => [true, length, 0.9]),
    )
    assert.is(shown.filter(([right, scores]) => right === false && scores === 0).length, 2, 'what does not run')
    count++
  }
  assert.is(count, 4)
  reader.close()
})

test.run()

/** `mm-prm eval` on solution-level look-alikes with the shipped models: stages, kills, other graders' files, bad input. */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluation } from '../../ts/index.ts'
import { completion, sendJson, startChatServer } from '../helpers/chat-server.ts'
import { startCli } from '../helpers/cli.ts'

const ROOT = join(import.meta.dirname, '../..')
const DATA = join(ROOT, 'test/golden/eval')
const POLICY = join(ROOT, 'models/mini-policy')
const PRM = join(ROOT, 'models/mini-prm')

const test = suite<{ folder: string }>('mm-prm eval, answers')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'mm-prm-eval-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }))

const MODELS = ['--model', POLICY, '--prm', PRM, '--threads', '1', '--max-tokens', '48']
const run = (...args: string[]) => startCli(['eval', ...args]).ended
const results = (out: string) => evaluation.resultsSchema.parse(JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')))
const answers = (out: string) => results(out).tasks as Record<string, evaluation.AnswerTaskResults>

/** Kills as soon as `file` has a line; resolves to whether it was still running. */
async function killWhenBegun(args: readonly string[], file: string): Promise<boolean> {
  const { child, ended } = startCli(['eval', ...args])
  const timer = setInterval(() => {
    if (existsSync(file) && readFileSync(file).includes(10)) child.kill('SIGKILL')
  }, 5)
  const { code } = await ended
  clearInterval(timer)
  return code === null
}

test('killed in each stage, it goes on to the same bytes; a second PRM and a smaller n need no new samples', async ({
  folder,
}) => {
  const args = ['--task', 'gsm8k,olympiadbench', '--data', DATA, '--limit', '50', '-n', '4', ...MODELS]
  const whole = join(folder, 'whole')
  const first = await run(...args, '--out', whole)
  assert.is(first.code, 0, first.stderr)
  const { olympiadbench, gsm8k } = answers(whole)
  assert.equal(olympiadbench?.refused, []) // a problem of two pictures among them
  assert.is(gsm8k?.counts.solutions, 36)
  assert.ok(gsm8k?.prm && gsm8k.official)
  for (const file of ['results.md', 'results.csv', 'results.html', 'costs.json']) assert.ok(existsSync(join(whole, file)), file)
  const costs = JSON.parse(readFileSync(join(whole, 'costs.json'), 'utf8'))
  for (const name of ['gsm8k', 'olympiadbench']) assert.ok(costs[name].seconds > 0 && costs[name].tokens > 0, name)
  const bytes = readFileSync(join(whole, 'results.json'), 'utf8')

  const out = join(folder, 'killed')
  const again = [...args, '--out', out, '--resume']
  const kills = [await killWhenBegun(again, join(out, 'gsm8k/solutions.jsonl'))]
  appendFileSync(join(out, 'gsm8k/solutions.jsonl'), '{"id":"8","ha') // and a write in half
  kills.push(await killWhenBegun(again, join(out, 'olympiadbench/solutions.jsonl')))
  const scores = join(out, 'gsm8k', scoresOf(whole, 'gsm8k'))
  kills.push(await killWhenBegun(again, scores))
  assert.ok(kills.every(Boolean), `killed too late: ${kills}`)
  const resumed = await run(...again)
  assert.is(resumed.code, 0, resumed.stderr)
  assert.is(readFileSync(join(out, 'results.json'), 'utf8'), bytes)

  const other = await run(...args.filter((a) => a !== '-n' && a !== '4'), '-n', '2', '--out', out, '--resume')
  assert.is(other.code, 0, other.stderr)
  assert.is(answers(out)['gsm8k']?.counts.solutions, 18)
  const refused = await run(...args, '--seed', '1', '--out', out, '--resume')
  assert.is(refused.code, 1)
  assert.match(refused.stderr, /another row, or by another policy, sampling or seed/)
})

const scoresOf = (out: string, task: string) => readdirSync(join(out, task)).find((name) => name.startsWith('scores-')) as string

test('generations made elsewhere are graded as their set does and as we do; graded anew without a model', async ({ folder }) => {
  const out = join(folder, 'out')
  const task = ['--task', 'mathvista', '--data', DATA, '--limit', '50']
  const first = await run(...task, '--responses', join(DATA, 'mathvista/responses.jsonl'), '-n', '4', '--out', out)
  assert.is(first.code, 0, first.stderr)
  const expected = JSON.parse(readFileSync(join(DATA, 'mathvista/expected.json'), 'utf8'))
  const { official, policy } = answers(out)['mathvista'] as evaluation.AnswerTaskResults
  assert.is(official?.policy.accuracy, expected.graders.official.passAt1.value)
  assert.is(official?.policy.first.undecided, expected.graders.official.candidate0.undecided)
  assert.ok((policy.accuracy ?? 0) > 0.6)
  const bytes = readFileSync(join(out, 'results.json'), 'utf8')
  assert.is((await run('--regrade', out)).code, 0)
  assert.is(readFileSync(join(out, 'results.json'), 'utf8'), bytes)
  assert.is((await run('--regrade', out, '--grade', 'official')).code, 0)
  assert.is(answers(out)['mathvista']?.grade, 'official')
  assert.is((await run('--regrade', out, '--grade', 'both')).code, 0)

  const other = join(folder, 'other')
  await run(...task, '--responses', join(DATA, 'mathvista/responses.jsonl'), '-n', '1', '--out', other)
  const compared = await run('--compare', out, other, '--json')
  assert.is(compared.code, 0, compared.stderr)
  const [difference] = JSON.parse(compared.stdout)
  assert.is(difference.problems, 12)
  assert.ok(Math.abs(difference.b - difference.a - difference.difference) < 1e-12)

  const refusal = async (message: RegExp) => {
    const { code, stderr } = await run('--compare', out, other)
    assert.is(code, 1)
    assert.match(stderr, message)
  }
  const problems = join(other, 'mathvista/problems.jsonl')
  writeFileSync(problems, readFileSync(problems, 'utf8').replace(/"answer":"[^"]*"/, '"answer":"another"'))
  await refusal(/are of other rows: mathvista "\d+" has another answer in each/)
  await run('--regrade', other, '--grade', 'official')
  await refusal(/mathvista: .* has the verdicts "ours", .* "official"; --regrade/)
})

test('what rules cannot decide is a range; a judge decides it once, its words are kept, and its failure loses nothing', async ({
  folder,
}) => {
  const out = join(folder, 'out')
  const task = ['--task', 'dynamath', '--data', DATA, '--limit', '3', '-n', '4', '--out', out]
  const responses = join(DATA, 'dynamath/responses.jsonl')
  assert.is((await run(...task, '--responses', responses)).code, 0)
  const { policy, counts } = answers(out)['dynamath'] as evaluation.AnswerTaskResults
  assert.ok(counts.undecided > 0)
  assert.ok((policy.accuracyIfUndecidedRight ?? 0) > (policy.accuracy ?? 1))

  let fails = true
  const server = await startChatServer((_, response) =>
    fails ? sendJson(response, 400, { error: 'no' }) : sendJson(response, 200, completion(['Yes'])),
  )
  const judge = ['--judge-model', 'j', '--judge-endpoint', server.baseUrl]
  const failed = await run('--regrade', out, ...judge)
  assert.is(failed.code, 1)
  assert.match(failed.stderr, /judge/)
  fails = false
  const judged = await run('--regrade', out, ...judge)
  assert.is(judged.code, 0, judged.stderr)
  const after = answers(out)['dynamath'] as evaluation.AnswerTaskResults
  assert.is(after.counts.undecided, 0)
  assert.is(after.policy.accuracy, policy.accuracyIfUndecidedRight)
  assert.is(results(out).judge, 'j')
  const asked = server.requests.length
  assert.match(readFileSync(join(out, 'dynamath/judged.jsonl'), 'utf8'), /"raw":"Yes"/)
  assert.is((await run('--regrade', out, ...judge)).code, 0)
  assert.is(server.requests.length, asked)
  await server.close()
})

test('killed while it grades, between one word of the judge and the next, it goes on to the same bytes', async ({ folder }) => {
  const responses = join(DATA, 'dynamath/responses.jsonl')
  const task = ['--task', 'dynamath', '--data', DATA, '--limit', '30', '-n', '4', '--responses', responses]
  let silentFrom = Number.POSITIVE_INFINITY
  let onSilence = () => {}
  let said = 0
  const server = await startChatServer((request, response) => {
    if (said >= silentFrom) return onSilence()
    said++
    sendJson(response, 200, completion([/\d/.test(JSON.stringify(request['messages'])) ? 'Yes' : 'No']))
  })
  const judge = ['--judge-model', 'j', '--judge-endpoint', server.baseUrl]
  const [whole, out] = [join(folder, 'whole'), join(folder, 'killed')]
  const first = await run(...task, ...judge, '--out', whole)
  assert.is(first.code, 0, first.stderr)
  const all = said
  assert.ok(all > 4, `only ${all} answers for a judge`)

  said = 0
  silentFrom = 3
  const { child, ended } = startCli(['eval', ...task, ...judge, '--out', out])
  onSilence = () => child.kill('SIGKILL')
  assert.is((await ended).code, null)
  assert.not.ok(existsSync(join(out, 'results.json')))
  const kept = readFileSync(join(out, 'dynamath/judged.jsonl'), 'utf8').trim().split('\n').length
  assert.ok(kept > 0 && kept <= 3, `${kept} words were kept`)

  silentFrom = Number.POSITIVE_INFINITY
  const resumed = await run(...task, ...judge, '--out', out, '--resume')
  assert.is(resumed.code, 0, resumed.stderr)
  assert.is(readFileSync(join(out, 'results.json'), 'utf8'), readFileSync(join(whole, 'results.json'), 'utf8'))
  assert.is(said, 3 + all - kept, 'what was kept is not asked for again')
  await server.close()
})

test('wrong files and wrong questions are refused by name', async ({ folder }) => {
  const base = ['--model', POLICY, '--out', join(folder, 'out')]
  const refusal = async (message: RegExp, ...args: string[]) => {
    const { code, stderr } = await run(...args, ...base)
    assert.is(code, 1, stderr)
    assert.match(stderr, message)
  }
  await refusal(/12 rows, mathvista has 1000; --limit/, '--task', 'mathvista', '--data', DATA)
  await refusal(/--template mm-prm-v1: .*was trained with prefill/, '--task', 'gsm8k', '--data', DATA, '--limit', '1', '--template', 'mm-prm-v1') // biome-ignore format: one call
  const cut = join(folder, 'mathvista')
  mkdirSync(cut)
  writeFileSync(join(cut, 'testmini.parquet'), 'PAR1, and no more')
  await refusal(/holds no mathvista: .*testmini\.parquet/, '--task', 'mathvista', '--data', folder, '--limit', '1')
  await refusal(/holds no gsm8k: no .* file there has the columns question, answer/, '--task', 'gsm8k', '--data', folder)
  const set = join(folder, 'mmk12')
  mkdirSync(set)
  const row = { id: 'a', question: 'Which?', correct_answer: 'B', image_path: 'none.png' }
  const write = (...rows: object[]) => writeFileSync(join(set, 'test.jsonl'), rows.map((r) => JSON.stringify(r)).join('\n'))
  const fits = { ...row, correct_answer: '12' }
  write(fits, fits)
  await refusal(/"a" appears twice/, '--task', 'mmk12', '--data', set, '--limit', '9')
  write(fits, { ...fits, id: 'b', image_path: '' }, { ...row, id: 'c' })
  const out = join(folder, 'pictures')
  const asked = [
    '--task',
    'mmk12',
    '--data',
    set,
    '--limit',
    '9',
    '--model',
    POLICY,
    '--out',
    out,
    '-n',
    '1',
    '--max-tokens',
    '8',
  ]
  const partly = await run(...asked)
  assert.is(partly.code, 3, partly.stderr)
  assert.match(answers(out)['mmk12']?.refused[0]?.message ?? '', /"a".*none\.png.*no such file/)
  assert.match(answers(out)['mmk12']?.refused[1]?.message ?? '', /options stand neither in a column nor in the text/)
  assert.match(partly.stderr, /mmk12: refused: "a": [\s\S]*mmk12: refused: "c": /)
  assert.is(answers(out)['mmk12']?.counts.solutions, 1)
  write(fits, { ...fits, id: 'b', image_path: '', question: 'Another?' })
  const changed = await run(...asked, '--resume')
  assert.is(changed.code, 1)
  assert.match(changed.stderr, /"b" was made from another row/)
  await run('--task', 'mmk12', '--data', set, '--out', out).then(({ code, stderr }) => {
    assert.is(code, 2)
    assert.match(stderr, /--model .* or --responses/)
  })
})

test('every form of a set gives the same problems', async ({ folder }) => {
  for (const [name, forms] of Object.entries({
    mathvista: ['data', 'MathVista_MINI.tsv'],
    mathvision: ['data', 'MathVision.tsv'],
    dynamath: ['data', 'DynaMath.tsv'],
    wemath: ['data', 'testmini.json', 'WeMath.tsv'],
  })) {
    const task = evaluation.ANSWER_TASKS.find((t) => t.name === name) as evaluation.AnswerTask
    const sets: evaluation.AnswerSet[] = []
    for (const form of forms) {
      const at = join(folder, name, form.replaceAll('.', '_'))
      mkdirSync(at, { recursive: true })
      cpSync(join(DATA, name, form), join(at, form), { recursive: true })
      if (form.endsWith('.json'))
        for (const n of [2, 3]) cpSync(join(DATA, name, `${n}steps`), join(at, `${n}steps`), { recursive: true })
      sets.push(await evaluation.loadAnswerSet(task, at, 1000))
    }
    const lines = readFileSync(join(DATA, name, 'responses.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const verdicts = sets.map(({ items }) =>
      items.map((item, i) =>
        lines[i].candidates.map((c: { text: string; extraction?: string }) => item.official(c.text, c.extraction)),
      ),
    )
    const shapes = sets.map(({ items }) =>
      items.map(({ problem, unit }) => [
        problem.id,
        problem.answer,
        problem.choices,
        unit,
        problem.image instanceof Uint8Array || typeof problem.image,
      ]),
    )
    for (let i = 1; i < sets.length; i++) {
      assert.equal(verdicts[i], verdicts[0], `${name} ${forms[i]}`)
      assert.equal(
        shapes[i]?.map((shape) => shape.slice(0, 4)),
        shapes[0]?.map((shape) => shape.slice(0, 4)),
        `${name} ${forms[i]}`,
      )
      assert.ok(
        shapes[i]?.every((shape) => shape[4] === true || shape[4] === 'string'),
        `${name} ${forms[i]}: a picture is missing`,
      )
    }
  }
})

test.run()

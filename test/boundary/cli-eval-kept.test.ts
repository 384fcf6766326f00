/** What `mm-prm eval` keeps is of the rows, pictures and texts that it was made from, or it is refused. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluation } from '../../ts/index.ts'
import { completion, sendJson, startChatServer } from '../helpers/chat-server.ts'
import { startCli } from '../helpers/cli.ts'

const ROOT = join(import.meta.dirname, '../..')
const DATA = join(ROOT, 'test/golden/eval')
const [POLICY, PRM] = [join(ROOT, 'models/mini-policy'), join(ROOT, 'models/mini-prm')]

const test = suite<{ folder: string }>('mm-prm eval, what is kept')
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'mm-prm-eval-'))
})
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }))

const run = (...args: string[]) => startCli(['eval', ...args]).ended
const read = (out: string) => readFileSync(join(out, 'results.json'), 'utf8')
const results = (out: string) => evaluation.resultsSchema.parse(JSON.parse(read(out)))
const answers = (out: string) => results(out).tasks as Record<string, evaluation.AnswerTaskResults>
const writeLines = (path: string, rows: readonly object[]) => writeFileSync(path, rows.map((r) => JSON.stringify(r)).join('\n'))

/** Sums as GSM8K stores them. */
function writeSums(folder: string, add: number): string {
  const rows = [0, 1, 2, 3].map((i) => ({ question: `What is ${i} and ${add}?`, answer: `We add.\n#### ${i + add}` }))
  mkdirSync(folder, { recursive: true })
  writeLines(join(folder, 'test.jsonl'), rows)
  return folder
}

test('generations made elsewhere name rows of one set that are there, and are not taken for others', async ({ folder }) => {
  const data = writeSums(join(folder, 'gsm8k'), 1)
  const file = join(folder, 'texts.jsonl')
  const asked = ['--task', 'gsm8k', '--data', data, '--limit', '3', '--responses', file]
  const refusal = async (line: object, message: RegExp) => {
    writeLines(file, [{ row: 0, response: '1' }, line])
    const { code, stderr } = await run(...asked, '--out', join(folder, 'refused'))
    assert.is(code, 1, stderr)
    assert.match(stderr, message)
  }
  await refusal({ row: -1, response: '1' }, /line 2: "row" is -1; rows are whole numbers from 0 to 3/)
  await refusal({ row: 1.5, response: '1' }, /"row" is 1\.5/)
  await refusal({ row: 4, response: '1' }, /"row" is 4/)
  await refusal({ row: 1, id: '2', response: '1' }, /row 1 is "1" and not "2"/)
  await refusal({ id: 'seven', response: '1' }, /no problem has the id "seven"/)

  const out = join(folder, 'out')
  const texts = (sum: string) => [
    { row: 0, responses: ['<answer>1</answer>', 'I add.\nSo it is 1\nThe answer is 1.'] },
    { id: 1, responses: [sum] },
    { row: 2, responses: [] },
    { id: '3', responses: ['beyond the limit'] },
  ]
  writeLines(file, texts('<answer>2</answer>'))
  const first = await run(...asked, '--steps', 'line', '--out', out)
  assert.is(first.code, 3, first.stderr)
  assert.match(first.stderr, /gsm8k: refused: "2": no response/)
  assert.is(results(out).n, 2)
  assert.is(answers(out)['gsm8k']?.policy.accuracy, 1)
  const [line] = readFileSync(join(out, 'gsm8k/solutions.jsonl'), 'utf8').split('\n')
  assert.is(JSON.parse(line as string).solutions[1].steps.length, 3)
  writeLines(file, texts('<answer>3</answer>'))
  const changed = await run(...asked, '--steps', 'line', '--out', out, '--resume')
  assert.is(changed.code, 1)
  assert.match(changed.stderr, /"1" was made from another row, or by another file of responses/)
  const several = await run('--task', 'gsm8k,math500', '--data', DATA, '--responses', file, '--out', join(folder, 'several'))
  assert.is(several.code, 2)
  assert.match(several.stderr, /--responses is of one task/)

  writeSums(data, 2)
  const regraded = await run('--regrade', out)
  assert.is(regraded.code, 1)
  assert.match(regraded.stderr, /"0" was made from another row/)
})

test('a picture is what its file holds: another is another row, a folder may move, a missing one is asked once it is there', async ({
  folder,
}) => {
  let data = join(folder, 'data')
  for (const name of ['mmk12', 'visualprocessbench']) cpSync(join(DATA, name), join(data, name), { recursive: true })
  const lines = readFileSync(join(data, 'mmk12/test.jsonl'), 'utf8').split('\n').slice(0, 2)
  writeFileSync(join(data, 'mmk12/test.jsonl'), lines.join('\n'))
  const pictures = lines.map((line) => join('mmk12', JSON.parse(line).image_path))
  const shown = JSON.parse(readFileSync(join(data, 'visualprocessbench/test.jsonl'), 'utf8').split('\n')[0] as string)
  const ofSteps = join('visualprocessbench', shown.image[0])
  const args = () => ['--task', 'mmk12,visualprocessbench', '--data', data, '--limit', '2', '-n', '1', '--max-tokens', '8']
  const models = ['--model', POLICY, '--prm', PRM, '--threads', '1']
  const whole = join(folder, 'whole')
  assert.is((await run(...args(), ...models, '--out', whole)).code, 0)

  const out = join(folder, 'out')
  const again = () => run(...args(), ...models, '--out', out, '--resume')
  const hidden = [pictures[0] as string, ofSteps]
  for (const [i, path] of hidden.entries()) renameSync(join(data, path), join(folder, `hidden${i}`))
  const partly = await again()
  assert.is(partly.code, 3, partly.stderr)
  assert.match(partly.stderr, /mmk12: refused: [\s\S]*visualprocessbench: not scored: /)
  for (const [i, path] of hidden.entries()) renameSync(join(folder, `hidden${i}`), join(data, path))
  renameSync(data, join(folder, 'moved'))
  data = join(folder, 'moved')
  const repaired = await again()
  assert.is(repaired.code, 0, repaired.stderr)
  assert.is(read(out), read(whole))

  writeFileSync(join(data, ofSteps), readFileSync(join(data, pictures[0] as string)))
  assert.match((await again()).stderr, /visualprocessbench.*was scored from another row/)
  writeFileSync(join(data, pictures[1] as string), readFileSync(join(data, pictures[0] as string)))
  assert.match((await again()).stderr, /mmk12.*was made from another row/)
})

test('another PRM scores steps beside solutions, and each keeps its own', async ({ folder }) => {
  const other = join(folder, 'other')
  cpSync(PRM, other, { recursive: true })
  const weights = join(other, 'model.safetensors')
  const bytes = readFileSync(weights)
  bytes[bytes.length - 6] = (bytes[bytes.length - 6] as number) ^ 1
  writeFileSync(weights, bytes)
  writeFileSync(join(other, 'mm-prm.json'), JSON.stringify({ scoring: 'mm-prm', threshold: 0.25 }))
  const out = join(folder, 'out')
  const args = ['--task', 'gsm8k,prmbench', '--data', DATA, '--limit', '2', '-n', '1', '--max-tokens', '8', '--out', out]
  const scored = (prm: string) => run(...args, '--model', POLICY, '--threads', '1', '--prm', prm, '--resume')
  assert.is((await scored(PRM)).code, 0)
  const first = read(out)
  assert.not.ok('recorded' in (results(out).tasks['prmbench'] as evaluation.StepTaskResults).prm)
  const second = await scored(other)
  assert.is(second.code, 0, second.stderr)
  assert.is((results(out).tasks['prmbench'] as evaluation.StepTaskResults).prm['recorded']?.threshold, 0.25)
  assert.is(readdirSync(join(out, 'prmbench')).length, 2)
  assert.is((await scored(PRM)).code, 0)
  assert.is(read(out), first)
})

test('words of a judge that say neither leave an answer undecided; what was spent before a kill stays counted', async ({
  folder,
}) => {
  const responses = join(DATA, 'dynamath/responses.jsonl')
  const out = join(folder, 'out')
  const task = ['--task', 'dynamath', '--data', DATA, '--limit', '3', '-n', '4', '--responses', responses, '--out', out]
  let isSilent = true
  const server = await startChatServer((_, response) => {
    if (!isSilent) sendJson(response, 200, completion(['It depends.']))
  })
  await using _ = { [Symbol.asyncDispose]: () => server.close() }
  const judge = ['--judge-model', 'j', '--judge-endpoint', server.baseUrl]
  const { child, ended } = startCli(['eval', ...task, ...judge])
  const seconds = () => {
    try {
      return JSON.parse(readFileSync(join(out, 'costs.json'), 'utf8')).dynamath.seconds as number
    } catch {
      return 0 // not begun
    }
  }
  const timer = setInterval(() => seconds() > 1 && child.kill('SIGKILL'), 20)
  const { code } = await ended
  clearInterval(timer)
  assert.is(code, null)
  const before = seconds()
  isSilent = false
  const resumed = await run(...task, ...judge, '--resume')
  assert.is(resumed.code, 0, resumed.stderr)
  assert.ok(seconds() > before, `${seconds()} after ${before}`)
  const { counts, policy } = answers(out)['dynamath'] as evaluation.AnswerTaskResults
  assert.ok(counts.undecided > 0)
  assert.ok((policy.accuracyIfUndecidedRight ?? 0) > (policy.accuracy ?? 1))
  assert.match(readFileSync(join(out, 'dynamath/judged.jsonl'), 'utf8'), /"match":null,"raw":"It depends\."/)
  const asked = server.requests.length
  assert.is((await run('--regrade', out, ...judge)).code, 0)
  assert.is(server.requests.length, asked)
})

test.run()

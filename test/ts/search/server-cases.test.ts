/** `mm-prm search` against servers that will not take what is sent by default. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openRun } from '../../../ts/store/reader.ts'
import { type ChatRequest, completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'
import { startCli } from '../../helpers/cli.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-servers-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))
const problems = join(scratch, 'problems.json')
writeFileSync(problems, '[{"id": "a", "question": "What is 40+2?", "correct_answer": "42"}]')
let runs = 0

/** Searches on a server that refuses what `refusal` has words for. */
async function search(refusal: (request: ChatRequest) => object | undefined, more: readonly string[] = []) {
  const server = await startChatServer((request, response) => {
    const words = refusal(request)
    if (words) return sendJson(response, 400, { error: words })
    const text = `<step>I add ${Math.random()}.</step><step>That makes 42.</step><answer>The final answer is 42</answer>`
    sendJson(response, 200, completion(Array(request.n ?? 1).fill(text)))
  })
  const out = join(scratch, `run-${runs++}`)
  const policy = ['--policy', 'openai', '--model', 'any', '--endpoint', server.baseUrl, '--template', 'instruct']
  const strategy = ['--strategy', 'best-of-n', '--set', 'n=4', '--json']
  const ended = await startCli(['search', '--problems', problems, '--out', out, ...policy, ...strategy, ...more]).ended
  await server.close()
  return { ...ended, out, summary: ended.code === 0 ? JSON.parse(ended.stdout) : undefined, requests: server.requests }
}

test('n > 1 refused, max_tokens refused: four rollouts, all correct', async () => {
  const one = { message: 'Only one completion choice is allowed', type: 'invalid_request_error', param: 'n' }
  const limit = {
    message: "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    param: 'max_tokens',
  }
  for (const refusal of [
    (request: ChatRequest) => (request.n > 1 ? one : undefined),
    (request: ChatRequest) => (request['max_tokens'] ? limit : undefined),
    (request: ChatRequest) => (request.n > 1 || request['max_tokens'] ? {} : undefined),
  ]) {
    const { code, summary, stderr } = await search(refusal)
    assert.is(code, 0, stderr)
    assert.equal([summary.rollouts, summary.correct, summary.problems.done], [4, 4, 1])
  }
})

test('top_k refused: told before a run is made, with the options that do', async () => {
  const refusal = (request: ChatRequest) =>
    ['top_k', 'repetition_penalty'].find((name) => name in request) && { message: 'Extra inputs are not permitted' }
  const refused = await search((request) => refusal(request) || undefined)
  assert.is(refused.code, 1)
  assert.match(refused.stderr, /takes no top_k and no repetition_penalty; .*--top-k 0.*--repetition-penalty 1/)
  assert.not.ok(existsSync(refused.out))
  const done = await search((request) => refusal(request) || undefined, ['--top-k', '0', '--repetition-penalty', '1'])
  assert.is(done.summary?.correct, 4, done.stderr)
})

test('--samples-per-request: so many at once, and another number is another run', async () => {
  const { out, requests, summary } = await search(() => undefined, ['--samples-per-request', '3'])
  assert.is(summary.correct, 4)
  assert.equal(
    requests
      .slice(-2)
      .map((request) => request.n)
      .sort(),
    [1, 3],
  )
  const reader = openRun(out)
  assert.is(reader.identity.policy.samplesPerRequest, 3)
  reader.close()
  const again = await startCli(
    [
      'search',
      '--problems',
      problems,
      '--out',
      out,
      '--policy',
      'openai',
      '--model',
      'any',
      '--endpoint',
      'http://127.0.0.1:9/v1',
    ].concat(['--template', 'instruct', '--strategy', 'best-of-n', '--set', 'n=4', '--resume', '--samples-per-request', '2']),
  ).ended
  assert.match(again.stderr, /policy\.samplesPerRequest: 3 → 2/)
})

test.run()

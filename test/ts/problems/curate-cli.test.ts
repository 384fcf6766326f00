/** `mm-prm curate` with a policy on a server: pass rates, images that are not needed, a policy that fails. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type Behaviour,
  behave,
  type ChatRequest,
  completion,
  isProbe,
  sendJson,
  startChatServer,
} from '../../helpers/chat-server.ts'
import { startCli } from '../../helpers/cli.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-curate-'))
test.after(() => rmSync(folder, { recursive: true }))
const INPUT = join(folder, 'problems.jsonl')
const OUTPUT = join(folder, 'kept.jsonl')
const REPORT = join(folder, 'report.json')

/** Right answers of 8, with and without the image. */
const SOLVED: Record<string, { seen: number; blind: number }> = {
  easy: { seen: 8, blind: 0 },
  fair: { seen: 4, blind: 1 },
  hard: { seen: 0, blind: 0 },
  blind: { seen: 4, blind: 6 },
  often: { seen: 7, blind: 0 },
}

const question = (request: ChatRequest) => JSON.stringify(request['messages'])
const hasImage = (request: ChatRequest) => question(request).includes('image_url')

const ofRun = (requests: readonly ChatRequest[]) => requests.filter((request) => !isProbe(request))

const policy: Behaviour = (request, response, attempt) => {
  if (isProbe(request)) return behave(request, response, attempt)
  const id = /How (\w+) is it/.exec(question(request))?.[1] ?? ''
  if (id === 'refused') return sendJson(response, 400, { error: 'context length' })
  const { seen, blind } = SOLVED[id] as (typeof SOLVED)['easy']
  const right = hasImage(request) ? seen : blind
  const texts = Array.from({ length: request.n }, (_, i) => `<step>s</step><answer>${i < right ? 5 : 6}</answer>`)
  sendJson(response, 200, completion(texts))
}

async function writeProblems(ids: readonly string[]): Promise<void> {
  for (const [i, id] of ids.entries()) {
    const create = { width: 8, height: 8, channels: 3 as const, background: { r: 20 * i, g: 90, b: 200 } }
    await sharp({ create })
      .png()
      .toFile(join(folder, `${id}.png`))
  }
  const rows = ids.map((id) => ({ id, question: `How ${id} is it?`, answer: '5', image: `${id}.png` }))
  writeFileSync(INPUT, rows.map((row) => JSON.stringify(row)).join('\n'))
}

async function curate(behaviour: Behaviour, ...options: string[]) {
  const server = await startChatServer(behaviour)
  const server_ = ['--policy', 'openai', '--endpoint', server.baseUrl, '--model', 'm']
  const args = ['curate', '--input', INPUT, '--output', OUTPUT, '--report', REPORT, '--json', ...server_, ...options]
  const { code, stdout, stderr } = await startCli(args).ended
  await server.close()
  const dropped = code === 0 || code === 3 ? JSON.parse(readFileSync(REPORT, 'utf8')).dropped : []
  const kept = readFileSync(OUTPUT, 'utf8').split('\n').filter(Boolean)
  return {
    ...{ code, stderr, requests: ofRun(server.requests), most: server.mostAtOnce() },
    kept: kept.map((line) => JSON.parse(line).id),
    summary: code === 0 || code === 3 ? JSON.parse(stdout) : undefined,
    reasons: Object.fromEntries(dropped.map((d: { id: string; reason: string }) => [d.id, d.reason])),
  }
}

test('problems that are always or never solved are dropped; with the question asked, those that need no image', async () => {
  await writeProblems(Object.keys(SOLVED))
  const rates = await curate(policy)
  assert.is(rates.code, 0, rates.stderr)
  assert.equal(rates.kept, ['fair', 'blind', 'often'])
  assert.equal(rates.reasons, { easy: 'pass-rate', hard: 'pass-rate' })
  assert.ok(rates.requests.every((r) => hasImage(r) && r.n === 8))

  const both = await curate(policy, '--max-text-only-rate', '0.5', '--max-pass-rate', '0.8', '--in-flight', '1', '--seed', '1')
  assert.is(both.code, 0, both.stderr)
  assert.equal(both.kept, ['fair'])
  assert.equal(both.reasons, { easy: 'pass-rate', hard: 'pass-rate', blind: 'text-only', often: 'pass-rate' })
  assert.equal(both.summary, { kept: 1, dropped: { 'pass-rate': 3, 'text-only': 1 }, unreadable: 0 })
  assert.is(both.most, 1)
  assert.ok(both.requests.some((r) => !hasImage(r)))
  const seeds = (requests: ChatRequest[]) => new Set(requests.map((r) => r.seed))
  assert.is(seeds([...rates.requests, ...both.requests]).size, 5 + 10 - 1, 'blind is dropped before it is seen')
})

test('a problem that the policy fails on is reported, not judged; a policy that is out of order ends the run', async () => {
  await writeProblems(['fair', 'refused', 'often'])
  const one = await curate(policy)
  assert.is(one.code, 3, one.stderr)
  assert.equal([one.kept, one.reasons], [['fair', 'often'], { refused: 'policy' }])
  assert.match(one.stderr, /refused: problem "refused": .*status 400.*context length/)
  assert.match(one.stderr, /--resume asks again about problems on which the policy failed/)
  const healed = await curate((...call) => policy({ ...call[0], messages: [hasImage(call[0]) && 'How often is it? image_url'] } as never, call[1], call[2]), '--resume') // biome-ignore format: short
  assert.is(healed.code, 0, healed.stderr)
  assert.equal([healed.kept, healed.requests.length], [['fair', 'refused', 'often'], 1])

  await writeProblems(Array.from({ length: 12 }, (_, i) => `p${i}`))
  const all = await curate((_, response) => sendJson(response, 401, { error: 'no key' }))
  assert.is(all.code, 1)
  assert.match(all.stderr, /8 problems in a row failed; the last one: problem "p7": .*status 401/)
})

test('Ctrl-C leaves no output; --resume asks only what was not answered, and ends with the same', async () => {
  const ids = Array.from({ length: 8 }, (_, i) => `p${i}`)
  await writeProblems(ids)
  const half: Behaviour = (request, response) => {
    const texts = Array.from({ length: request.n }, (_, i) => `<step>s</step><answer>${i < 4 ? 5 : 6}</answer>`)
    sendJson(response, 200, completion(texts))
  }
  const output = join(folder, 'stopped.jsonl')
  const asked = `${output}.asked.jsonl`
  const start = (baseUrl: string, ...more: string[]) =>
    startCli([...['curate', '--input', INPUT, '--output', output, '--policy', 'openai', '--endpoint', baseUrl], ...['--model', 'm', '--in-flight', '1'], ...more]) // biome-ignore format: a command

  let served = 0
  const server = await startChatServer((request, response, call) => {
    if (isProbe(request)) behave(request, response, call)
    else if (++served <= 3) half(request, response, call)
    else if (served === 4) run.child.kill('SIGINT')
  })
  const run = start(server.baseUrl)
  const stopped = await run.ended
  assert.is(stopped.code, 130, stopped.stderr)
  assert.match(stopped.stderr, /--resume goes on/)
  assert.not.ok(existsSync(output) || existsSync(`${output}.part`))
  await server.close()

  const again = await startChatServer(half)
  const refused = await start(again.baseUrl).ended
  assert.is(refused.code, 1, refused.stderr)
  assert.match(refused.stderr, /left by work that was stopped; --resume goes on/)
  const other = await start(again.baseUrl, '--resume', '--rollouts', '4').ended
  assert.match(other.stderr, /of other settings/)
  assert.is(again.requests.length, 0)
  const resumed = await start(again.baseUrl, '--resume').ended
  assert.is(resumed.code, 0, resumed.stderr)
  assert.is(ofRun(again.requests).length, 5)
  assert.equal(readFileSync(output, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line).id), ids) // biome-ignore format: short
  assert.not.ok(existsSync(asked))
  await again.close()
})

test('pictures are kept that the engine takes, and no others; embedded ones get the type of their bytes', async () => {
  await writeProblems(['fair'])
  writeFileSync(join(folder, 'a.svg'), '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
  const gif = Buffer.from('474946383961ffffffff800000000000ffffff2c0000000001000100000202440100 3b'.replace(' ', ''), 'hex')
  writeFileSync(join(folder, 'screen.gif'), gif)
  execFileSync('mkfifo', [join(folder, 'pipe.png')])
  const png = readFileSync(join(folder, 'fair.png')).toString('base64')
  const images = {
    ...{ path: 'fair.png', embedded: `data:application/octet-stream;base64,${png.slice(0, -4)}${png.slice(-4)}` },
    ...{ svg: 'a.svg', screen: 'screen.gif', pipe: 'pipe.png', device: '/dev/zero', folder: '.', none: 'none.png' },
  }
  const rows = Object.entries(images).map(([id, image]) => ({ id, question: `How ${id} is it?`, answer: '5', image }))
  writeFileSync(INPUT, rows.map((row) => JSON.stringify(row)).join('\n'))
  const { code, stderr } = await startCli(['curate', '--input', INPUT, '--output', OUTPUT, '--report', REPORT]).ended
  assert.is(code, 0, stderr)
  const kept = readFileSync(OUTPUT, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line)) // biome-ignore format: short
  assert.equal(
    kept.map((row) => row.id),
    ['path', 'embedded'],
  )
  assert.is(kept[1].image, `data:image/png;base64,${png}`)
  const dropped = JSON.parse(readFileSync(REPORT, 'utf8')).dropped as { id: string; reason: string; detail: string }[]
  const expected = { svg: /an SVG drawing/, screen: /65535 x 65535 pixels/, pipe: /not a regular file/, device: /not a regular file/, folder: /is a folder/, none: /no such file/ } // biome-ignore format: a table
  for (const { id, reason, detail } of dropped) {
    assert.is(reason, 'image')
    assert.match(detail, expected[id as keyof typeof expected])
  }
  assert.is(dropped.length, 6)
})

test('a judge decides what rules cannot', async () => {
  const words = [{ id: 'w', question: 'How fair is it?', answer: 'a regular hexagon' }]
  writeFileSync(INPUT, JSON.stringify(words[0]))
  const server: Behaviour = (request, response) => {
    const isJudge = request['model'] === 'judge'
    const answer = (i: number) => (i < 4 ? 'hexagon with equal sides' : 'a square of sorts')
    const texts = isJudge
      ? [question(request).includes('hexagon with equal') ? 'Yes' : 'No']
      : Array.from({ length: request.n }, (_, i) => `<step>s</step><answer>The final answer is ${answer(i)}</answer>`)
    sendJson(response, 200, completion(texts))
  }
  const judge = await startChatServer(server)
  const { code, kept, stderr } = await curate(
    server,
    '--types',
    'words',
    '--judge-endpoint',
    judge.baseUrl,
    '--judge-model',
    'judge',
  )
  await judge.close()
  assert.is(code, 0, stderr)
  assert.equal(kept, ['w'])
  assert.is(judge.requests.length, 2, 'one question per distinct answer')
})

test('a server is asked first what it takes: what it refuses is done without, or the options that would do are named', async () => {
  await writeProblems(['fair', 'often'])
  const asked: ChatRequest[] = []
  const oneByOne = await curate((request, response, attempt) => {
    if (request.n > 1) return sendJson(response, 422, { error: 'no' })
    if (isProbe(request)) return behave({ ...request, n: 1 }, response, attempt)
    asked.push(request)
    const right = asked.filter((r) => question(r) === question(request)).length % 2 === 0
    sendJson(response, 200, completion([`<step>s</step><answer>${right ? 5 : 6}</answer>`]))
  })
  assert.is(oneByOne.code, 0, oneByOne.stderr)
  assert.equal([oneByOne.kept, oneByOne.requests.length], [['fair', 'often'], 16])

  const server = await startChatServer((request, response, attempt) =>
    'top_k' in request ? sendJson(response, 400, { error: 'unknown field' }) : behave(request, response, attempt),
  )
  const args = ['--input', INPUT, '--output', join(folder, 'refused.jsonl'), '--policy', 'openai', '--endpoint', server.baseUrl]
  const { code, stderr } = await startCli(['curate', ...args, '--model', 'm', '--top-k', '5']).ended
  await server.close()
  assert.is(code, 1, stderr)
  assert.match(stderr, /--top-k 0/)
  assert.equal(ofRun(server.requests), [])
})

test('wrong options are told before anything is asked', async () => {
  await writeProblems(['fair'])
  const wrong: [string[], RegExp][] = [
    [['--max-text-only-rate', '0.5'], /--max-text-only-rate needs a policy: --model/],
    [['--judge-endpoint', 'http://x/v1'], /--judge-endpoint needs --judge-model/],
    [['--judge-max-tokens', '99'], /--judge-max-tokens needs --judge-model/],
    [
      ['--model', 'm', '--min-pass-rate', '0.5', '--max-pass-rate', '0.5'],
      /--min-pass-rate 0\.5 must be below --max-pass-rate 0\.5/,
    ],
    [['--model', 'm', '--min-pass-rate', '2'], /--min-pass-rate must be a number at least 0 and at most 1, got "2"/],
  ]
  for (const [options, message] of wrong) {
    const { code, stderr } = await startCli(['curate', '--input', INPUT, '--output', OUTPUT, ...options]).ended
    assert.is(code, 2, stderr)
    assert.match(stderr, message)
  }
})

test.run()

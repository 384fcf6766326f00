/** What a policy on a server does with pictures: it sends those that the package's own engine takes, and no others. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import { chatCritic } from '../../../ts/policy/critic.ts'
import { openAiPolicy } from '../../../ts/policy/openai.ts'
import { behave, completion, sendJson, startChatServer } from '../../helpers/chat-server.ts'

/** One pixel. */
const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=='

/** Asks for one sample of a problem with this image. */
async function ask(image: string) {
  const server = await startChatServer(behave)
  const policy = openAiPolicy({ baseUrl: server.baseUrl, model: 'm' })
  const problem = { id: 'p1', question: 'How many?', answer: '5', image }
  const error = await policy.rollouts([{ problem, prefix: [], seed: 1, from: 0, count: 1 }]).then(
    () => undefined,
    (e: EngineError) => e,
  )
  await server.close()
  return { error, requests: server.requests }
}

test('pictures that the engine refuses are refused here too; what is sent has the type of its bytes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-openai-'))
  const write = (name: string, content: string | Buffer) => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  execFileSync('mkfifo', [join(folder, 'pipe.png')])
  const hugeScreen = Buffer.from(
    '47494638396123456789800000000000ffffff2c000000000100010000020244010 03b'.replace(' ', ''),
    'hex',
  )
  hugeScreen.fill(0xff, 6, 10)
  const bytes = Buffer.from(PNG.slice(PNG.indexOf(',') + 1), 'base64')
  const bad: [string, RegExp][] = [
    [join(folder, 'pipe.png'), /pipe\.png: is not a regular file/],
    ['/dev/zero', /\/dev\/zero: is not a regular file/],
    [folder, /is a folder/],
    [write('a.svg', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), /a\.svg: is an SVG drawing/],
    [write('a.gif', hugeScreen), /a\.gif: is 65535 x 65535 pixels/],
    [write('cut.png', bytes.subarray(0, 50)), /cut\.png: the PNG data cannot be decoded/],
    ['https://example.org/a.png', /https URLs are not fetched/],
  ]
  for (const [image, message] of bad) {
    const { error, requests } = await ask(image)
    assert.is(error?.code, 'ERR_ENGINE_INVALID_ARGUMENT', image)
    assert.match(error?.message as string, message)
    assert.match(error?.message as string, /^problem "p1": image /)
    assert.is(requests.length, 0)
  }
  const unnamed = await ask(PNG.replace('image/png', 'application/octet-stream'))
  const sent = unnamed.requests[0]?.['messages'] as { content: { image_url: { url: string } }[] }[]
  assert.is(sent[0]?.content[0]?.image_url.url, PNG)
  rmSync(folder, { recursive: true })
})

test('a critic shows pictures where its words have their marks, and in front where there is none', async () => {
  const server = await startChatServer((_, response) => sendJson(response, 200, completion(['seen'])))
  const critic = chatCritic({ baseUrl: server.baseUrl, model: 'm' })
  const sampling = { temperature: 0, topP: 1, topK: 0, maxTokens: 1, seed: 0 }
  const shown = async (content: string) => {
    await critic.write({ messages: [{ role: 'user', content }], images: [PNG], sampling, sample: 0 })
    const sent = server.requests.at(-1)?.['messages'] as { content: { type: string; text?: string }[] }[]
    return sent[0]?.content.map(({ type, text }) => text ?? type)
  }
  assert.equal(await shown('How many?'), ['image_url', 'How many?'])
  assert.equal(await shown('How many <image> are there?'), ['How many ', 'image_url', ' are there?'])
  assert.equal(await shown('How many?\n<image>'), ['How many?\n', 'image_url'])
  await server.close()
})

test.run()

/** A chat-completions server on the loopback interface that misbehaves as it is told to. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ChatRequest {
  n: number
  seed: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever a client sends
  [key: string]: any
}

/** Answers one request; `attempt` counts from 0 over the server's life. */
export type Behaviour = (request: ChatRequest, response: ServerResponse, attempt: number) => void | Promise<void>

export const GOOD_TEXT = '<step>one</step><step>two</step><answer>The final answer is 5</answer>'

export function sendJson(response: ServerResponse, status: number, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(value))
}

export function completion(texts: readonly (string | null)[], finish: string | null = 'stop') {
  return {
    choices: texts.map((content) => ({ finish_reason: finish, message: { role: 'assistant', content } })),
    usage: { completion_tokens: 12 },
  }
}

/** A well-behaved answer: n samples that differ by seed and index. */
export const behave: Behaviour = (request, response) => {
  const texts = Array.from({ length: request.n }, (_, i) => GOOD_TEXT.replace('one', `one ${request.seed}+${i}`))
  sendJson(response, 200, completion(texts))
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

/** What a policy asks before a run, to find out what the server takes. */
export const isProbe = (request: ChatRequest): boolean => String(request['messages'][0].content).includes('random digits')

export async function startChatServer(behaviour: Behaviour) {
  const requests: ChatRequest[] = []
  let running = 0
  let most = 0
  const server = createServer(async (incoming, response) => {
    most = Math.max(most, ++running)
    response.on('close', () => running--)
    const body = JSON.parse(await readBody(incoming)) as ChatRequest
    requests.push({ ...body, path: incoming.url, authorization: incoming.headers.authorization })
    try {
      await behaviour(body, response, requests.length - 1)
    } catch (error) {
      // What a server does not know of, such as the question of a probe, is its accident.
      sendJson(response, 500, { error: String(error) })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    mostAtOnce: () => most,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

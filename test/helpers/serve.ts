/** The shipped models behind a server, and the same engines in process to compare with. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI from 'openai'
import { Engine } from '../../ts/engine/engine.ts'
import { imageDataUri } from '../../ts/images/index.ts'
import { makeTasks } from '../../ts/mini/problems.ts'
import { serve } from '../../ts/serve/index.ts'
import { IN_DOMAIN } from '../../ts/tasks/index.ts'

export const MODELS = join(import.meta.dirname, '../../models')
export const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-serve-'))
export const policy = await Engine.open({ model: join(MODELS, 'mini-policy') })
export const prm = await Engine.open({ model: join(MODELS, 'mini-prm') })
export const server = await serve({ policy, prm })
export const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 })
/** To be called after the last test. */
export async function closeAll(): Promise<void> {
  await server.close()
  await policy.close()
  await prm.close()
  rmSync(scratch, { recursive: true, force: true })
}

const [task] = await makeTasks(scratch, IN_DOMAIN, 'serve', 1, { part: 'test' })
export const PROBLEM = (task as NonNullable<typeof task>).problem
export const PICTURE = imageDataUri(
  typeof PROBLEM.image === 'string' ? readFileSync(PROBLEM.image) : (PROBLEM.image as Uint8Array),
)
export const asked = `Question: ${PROBLEM.question}`
const seeing = [
  { type: 'image_url' as const, image_url: { url: PICTURE } },
  { type: 'text' as const, text: asked },
]
export const chat = { model: 'whatever', messages: [{ role: 'user' as const, content: seeing }], n: 4, seed: 11, max_tokens: 120 }
export const inProcess = { messages: [{ role: 'user' as const, content: asked }], image: PICTURE, n: 4, seed: 11, maxTokens: 120 }

export async function post(path: string, body: unknown, headers: Record<string, string> = {}, base = server.url) {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  const response = await fetch(base + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: text,
  })
  // biome-ignore lint/suspicious/noExplicitAny: whatever a server answers
  return { status: response.status, headers: response.headers, body: (await response.json().catch(() => null)) as any }
}

/** Until the engine has nothing to do; fails where that does not come. */
export async function untilIdle(engine: Engine): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const { requestsRunning, requestsWaiting, callsWaiting } = engine.stats()
    if (requestsRunning + requestsWaiting + callsWaiting === 0) return
    await sleep(50)
  }
  throw new Error('the engine is still at work')
}

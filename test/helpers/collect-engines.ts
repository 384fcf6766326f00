/**
 * Opens engines, uses them and drops them without closing; prints as JSON what garbage collection does to them:
 * threads before, with the engines, and after; what a generation and a stream in flight came to.
 */
import { readdirSync } from 'node:fs'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { Engine } from '../../ts/engine/engine.ts'

const [model] = process.argv.slice(2) as [string]
const gc = globalThis.gc as () => void
const request = { tokens: [5, 6, 7], n: 3, maxTokens: 200, seed: 4, stopAtEnd: false }
const collected: string[] = []
const registry = new FinalizationRegistry((name: string) => collected.push(name))
const threads = () => readdirSync('/proc/self/task').length

async function open(name: string): Promise<Engine> {
  const engine = await Engine.open({ model, cpu: { threads: 3 } })
  registry.register(engine, name)
  return engine
}

/** The event loop turns, so that finalizers run; at most ten seconds. */
async function collectUntil(done: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !done(); i++) {
    gc()
    await setImmediate()
    await setTimeout(20)
  }
}

async function useAndDrop(): Promise<number> {
  const engines = [await open('idle'), await open('used')]
  await engines[1]?.scoreSteps({ question: 'Q', steps: ['a', 'b'] })
  await engines[1]?.generate({ ...request, maxTokens: 5 })
  return threads()
}

async function dropInFlight(): Promise<{ generation: Promise<unknown>; stream: Promise<number> }> {
  const count = async () => {
    let tokens = 0
    for await (const event of (await open('streaming')).stream(request)) tokens += event.tokens.length
    return tokens
  }
  return { generation: (await open('generating')).generate(request), stream: count() }
}

await (await open('closed')).close()
const before = threads()
const during = await useAndDrop()
await collectUntil(() => ['idle', 'used'].every((name) => collected.includes(name)) && threads() <= before)
const after = threads()

const { generation, stream } = await dropInFlight()
let finished = false
const outcomes = Promise.all([generation, stream]).finally(() => {
  finished = true
})
await collectUntil(() => finished)
const [completions, streamedTokens] = await outcomes
const completionTokens = (completions as { tokens: number[] }[]).map((c) => c.tokens.length)
await open('left open at the end')
console.log(JSON.stringify({ collected, before, during, after, completionTokens, streamedTokens }))

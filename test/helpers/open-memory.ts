/**
 * Opens a checkpoint three times: stopped by a signal at the first sign of progress, stopped by what the callback
 * throws, and to the end. Prints how each went and what memory stayed resident as JSON.
 */
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'

const [model, weights] = process.argv.slice(2) as [string, 'bf16' | 'f32']
const gc = globalThis.gc as () => void

async function reasonOfFailure(onProgress: () => void, signal?: AbortSignal): Promise<string> {
  try {
    await Engine.open({ model, weights, onProgress, signal })
    return 'opened'
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return code ?? message
  }
}

function residentBytes(): number {
  gc()
  return process.memoryUsage.rss()
}

loadNative()
const atStart = residentBytes()
const controller = new AbortController()
const aborted = await reasonOfFailure(() => controller.abort(), controller.signal)
const thrown = await reasonOfFailure(() => {
  throw new Error('from the callback')
})
const keptBytes = residentBytes() - atStart
const before = residentBytes()
const progress: [number, number][] = []
const engine = await Engine.open({
  model,
  weights,
  onProgress: ({ doneBytes, totalBytes }) => progress.push([doneBytes, totalBytes]),
})
const grownBytes = residentBytes() - before
console.log(JSON.stringify({ aborted, thrown, keptBytes, grownBytes, packedBytes: engine.info().weightBytes, progress }))
await engine.close()

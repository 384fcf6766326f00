/** Opens a checkpoint, first with an abort at the first sign of progress; prints resident memory around both as JSON. */
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'

const [model, weights] = process.argv.slice(2) as [string, 'bf16' | 'f32']
const gc = globalThis.gc as () => void

async function abortedCode(): Promise<string> {
  const controller = new AbortController()
  try {
    await Engine.open({ model, weights, onProgress: () => controller.abort(), signal: controller.signal })
    return 'opened'
  } catch (error) {
    return error instanceof EngineError ? error.code : String(error)
  }
}

function residentBytes(): number {
  gc()
  return process.memoryUsage.rss()
}

loadNative()
const atStart = residentBytes()
const aborted = { code: await abortedCode(), grownBytes: residentBytes() - atStart }
const before = residentBytes()
const progress: [number, number][] = []
const engine = await Engine.open({
  model,
  weights,
  onProgress: ({ doneBytes, totalBytes }) => progress.push([doneBytes, totalBytes]),
})
const grownBytes = residentBytes() - before
console.log(JSON.stringify({ aborted, grownBytes, packedBytes: engine.info().packedBytes, progress }))
await engine.close()

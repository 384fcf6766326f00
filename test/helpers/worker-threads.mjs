// Worker threads that use the addon one after another, in a process whose main thread does not hold it: Node lets go
// of the addon each time one of them ends.
//
//   node worker-threads.mjs MODEL KIND      KIND: close, leave, terminate, opening
import { isMainThread, parentPort, Worker } from 'node:worker_threads'

const WORKERS = 6
const [model, kind] = process.argv.slice(2)

async function useTheAddon() {
  const { Engine } = await import('mm-prm')
  if (kind === 'opening') {
    Engine.open({ model })
    parentPort.postMessage('busy')
    return
  }
  const engine = await Engine.open({ model, cpu: { threads: 2 } })
  if (kind === 'terminate') {
    for (let i = 0; i < 8; i++) engine.scoreSteps({ question: 'q'.repeat(50 * i), steps: ['a', 'b'] }).catch(() => {})
    parentPort.postMessage('busy')
    return
  }
  await engine.scoreSteps({ question: 'q', steps: ['a', 'b'] })
  if (kind === 'close') await engine.close()
}

async function oneAfterAnother() {
  for (let i = 0; i < WORKERS; i++) {
    const worker = new Worker(new URL(import.meta.url), { argv: [model, kind] })
    worker.on('message', () => worker.terminate())
    await new Promise((done, fail) => worker.once('exit', done).once('error', fail))
  }
  console.log('all workers ended')
}

await (isMainThread ? oneAfterAnother() : useTheAddon())

// A worker thread that opens an engine and generates; it finishes, is terminated, or exits in the middle.
import { parentPort, workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

register()
const { Engine } = await import('../../ts/engine/engine.ts')
const { model, request, ending } = workerData
const engine = await Engine.open({ model })
if (ending === 'finish') {
  parentPort.postMessage(await engine.generate(request))
  await engine.close()
} else {
  const stream = engine.stream({ ...request, n: 8, maxTokens: 400 })
  await stream.next()
  parentPort.postMessage('busy')
  if (ending === 'exit') process.exit()
  for await (const _ of stream);
}

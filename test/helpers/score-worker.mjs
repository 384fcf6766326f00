/** A worker thread that opens an engine of its own, scores once, and ends with or without closing it. */
import { parentPort, workerData } from 'node:worker_threads'
import { register } from 'tsx/esm/api'

register()
const { Engine } = await import(new URL('../../ts/engine/engine.ts', import.meta.url).href)
const engine = await Engine.open({ model: workerData.model })
parentPort.postMessage(await engine.scoreSteps(workerData.request))
if (workerData.close) await engine.close()

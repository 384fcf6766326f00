/**
 * A process of its own: opens every folder it is given and prints one line of JSON for each: what inspecting and
 * opening ended in. The parent sees by the lines that are missing where this process died.
 */
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { loadNative } from '../../ts/engine/native.ts'

async function outcome(open: () => unknown): Promise<object> {
  try {
    await open()
    return { opened: true }
  } catch (error) {
    if (error instanceof EngineError) return { code: error.code, message: error.message }
    return { code: 'untyped', message: String((error as Error).stack ?? error) }
  }
}

for (const folder of process.argv.slice(2)) {
  const inspected = await outcome(() => loadNative().inspectModel(folder))
  const opened = await outcome(async () => (await Engine.open({ model: folder, cpu: { threads: 1 } })).close())
  const { maxRSS } = process.resourceUsage()
  console.log(JSON.stringify({ folder, inspected, opened, maxKiB: maxRSS }))
}

/**
 * A supervisor of itself, as `mm-prm worker` is with several devices: FOLDER DEVICE,DEVICE… [not-at-first]. What a process does is in
 * the name of its device; each start leaves a line in the folder's file of that name. `not-at-first`: the first start finds no Node.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const [folder = '', devices = '', when] = process.argv.slice(2)
const at = process.argv.indexOf('--device')

function act(device: string): void {
  const file = join(folder, device)
  appendFileSync(file, 'started\n')
  const starts = readFileSync(file, 'utf8').split('\n').length - 1
  if (device === 'crashes' || (device === 'crashes-once' && starts === 1)) process.kill(process.pid, 'SIGKILL')
  if (device === 'fails') process.exitCode = 3
  if (device !== 'waits') return
  const idle = setInterval(() => {}, 1000)
  process.once('SIGTERM', () => clearInterval(idle))
}

if (at >= 0) act(process.argv[at + 1] as string)
else {
  const found = ['/no/node', process.execPath]
  const execPath = () => (found.length > 1 ? found.shift() : found[0])
  if (when === 'not-at-first') Object.defineProperty(process, 'execPath', { get: execPath })
  const { supervise } = await import('../../ts/cli/supervise.ts')
  process.exitCode = await supervise([folder], devices.split(','), 20)
}

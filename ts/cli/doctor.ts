/** `mm-prm doctor`: what this machine and this installation can do, and why not more. */
import { freemem, totalmem } from 'node:os'
import { findCards } from '../engine/devices.ts'
import { loadNative, nativePath } from '../engine/native.ts'
import { openSandbox } from '../sandbox/index.ts'
import { type Command, EXIT, readOptions } from './command.ts'
import { formatRows } from './table.ts'

const USAGE = `usage: mm-prm doctor [--json]

Shows the addon in use, instruction sets, threads, memory, which cards there are, or why none can be used, and whether code that
models write can be run in a sandbox.`

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, { json: { type: 'boolean' } })
  const { isa, isas, threads } = loadNative().probe()
  const report = {
    addon: nativePath(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    instructionSet: isa,
    instructionSets: isas,
    threads,
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    cards: findCards(),
    code: await openSandbox().then(
      ({ name }) => `runs in a sandbox (${name})`,
      (error: Error) => error.message,
    ),
  }
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : formatRows(report))
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

/** `mm-prm` as a process that runs beside the test, which may be its server. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export function startCli(args: readonly string[], onStderr?: (text: string) => void) {
  const child = spawn(process.execPath, [MAIN, ...args])
  const ended = new Promise<Ended>((resolve) => {
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
      onStderr?.(text)
    })
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
  return { child, ended }
}

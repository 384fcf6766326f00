/** One process per card, each with the same options but for the card; they end together. */
import { spawn } from 'node:child_process'

/** Resolves to the worst exit code, when all have ended. @param argv of the command, its name first */
export async function supervise(argv: readonly string[], devices: readonly string[]): Promise<number> {
  const main = process.argv[1] as string
  const children = devices.map((device) =>
    spawn(process.execPath, [...process.execArgv, main, ...argv, '--device', device], { stdio: 'inherit' }),
  )
  const stop = () => {
    for (const child of children) child.kill('SIGTERM')
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    const codes = children.map(
      (child) =>
        new Promise<number>((resolve, reject) => {
          child.once('error', reject)
          child.once('exit', (code) => resolve(code ?? 1))
        }),
    )
    return Math.max(...(await Promise.all(codes)))
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}

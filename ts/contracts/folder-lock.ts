/**
 * One user of a folder at a time. The lock is a socket that listens under a name made of the folder's device and inode:
 * the system frees it however the process ends, and every path to the folder is the same one.
 */
import { once } from 'node:events'
import { statSync, unlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storeError } from './errors.ts'

/** Linux has names without files; elsewhere a file stands for the name, and stays where a process is killed. */
const HAS_ABSTRACT_NAMES = process.platform === 'linux'

function nameOf(folder: string, purpose: string): string {
  const { dev, ino } = statSync(folder, { bigint: true })
  const name = `mm-prm-${purpose}-${dev}-${ino}`
  return HAS_ABSTRACT_NAMES ? `\0${name}` : join(tmpdir(), `${name}.sock`)
}

async function isListening(name: string): Promise<boolean> {
  const socket = connect(name)
  const answered = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return answered
}

async function listen(name: string) {
  const server = createServer((socket) => socket.destroy())
  server.listen(name)
  await once(server, 'listening')
  server.unref()
  return server
}

/** Takes the name over where only a killed process's file stands for it; undefined where it is held. */
async function takeOver(name: string) {
  if (HAS_ABSTRACT_NAMES || (await isListening(name))) return undefined
  unlinkSync(name)
  return listen(name).catch(() => undefined)
}

/**
 * Locks an existing folder for a purpose, such as `train`; undefined where another, here or elsewhere on this machine, holds it.
 * @throws EngineError STORE where it cannot be locked at all
 */
export async function lockFolder(folder: string, purpose: string): Promise<AsyncDisposable | undefined> {
  const name = nameOf(folder, purpose)
  const server = await listen(name).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') return takeOver(name)
    throw storeError(`${folder}: cannot be locked: ${error.message}`, error)
  })
  return server && { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) }
}

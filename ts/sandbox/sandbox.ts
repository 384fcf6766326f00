/**
 * A sandbox of Linux namespaces: no network, no process but its own, no file but the system's programs (read-only), those that
 * it is given (read-only) and an empty folder in memory. `unshare` makes them; a user without rights takes a namespace of users
 * too, root becomes nobody in particular. It ends with its process group, with this process, and at its limits.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { throwIfAborted } from '../contracts/abort.ts'
import { EngineError, invalidArgument, policyError } from '../contracts/errors.ts'
import type { RunLimits, Runner, RunRequest, RunResult } from '../contracts/runner.ts'
import { DRIVER, ENTER } from './programs.ts'

export const DEFAULT_LIMITS: RunLimits = {
  seconds: 5,
  memoryBytes: 512 * 2 ** 20,
  outputBytes: 64 * 2 ** 10,
  processes: 8,
  fileBytes: 16 * 2 ** 20,
}

export interface SandboxOptions {
  readonly limits?: Partial<RunLimits> | undefined
  /** Sandboxes at once; further ones wait. */
  readonly concurrency?: number | undefined
}

const TOOLS = ['unshare', 'setpriv', 'mount', 'umount', 'pivot_root']
const PATH = '/usr/bin:/bin:/usr/sbin:/sbin'
const START_SECONDS = 30
const MAX_OPEN_FILES = 32
const MAX_REASON = 2000
/** The first process of a namespace, and the shell's own child that counts in it. */
const OWN_PROCESSES = 2
/** Users that nobody is; one each, as the kernel counts a user's processes. */
const USERS = { first: 61_184, count: 4_096 }
const MOUNT_POINTS = ['/mnt', '/media', '/srv', '/opt']
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib64', '/lib32']

interface Python {
  readonly path: string
  readonly version: string
  /** That it needs beside the system's. */
  readonly folders: readonly string[]
}

/** The interpreter that this process would find. @throws EngineError INVALID_ARGUMENT */
function findPython(): Python {
  const ask = 'import sys, json; print(json.dumps([sys.executable, sys.version.split()[0], sys.prefix, sys.base_prefix]))'
  try {
    const answer = execFileSync('python3', ['-c', ask], { encoding: 'utf8', timeout: 60_000 })
    const [path, version, ...prefixes] = JSON.parse(answer) as [string, string, string, string]
    const folders = [...new Set(prefixes)].filter((folder) => !SYSTEM.some((own) => `${folder}/`.startsWith(`${own}/`)))
    return { path, version, folders }
  } catch (error) {
    throw invalidArgument(`code cannot be run here: python3: ${(error as Error).message}`, error)
  }
}

/** Why no sandbox can be made here; undefined where its tools are there. */
function missing(): string | undefined {
  if (process.platform !== 'linux') return `it needs Linux, this is ${process.platform}`
  const absent = TOOLS.filter((tool) => !PATH.split(':').some((folder) => existsSync(`${folder}/${tool}`)))
  return absent.length > 0 ? `${absent.join(', ')} of util-linux ${absent.length > 1 ? 'are' : 'is'} missing` : undefined
}

class Sandbox implements Runner {
  readonly name: string
  readonly #python: Python
  readonly #limits: RunLimits
  readonly #waiting: (() => void)[] = []
  #free: number
  #user = 0

  constructor(python: Python, { limits, concurrency = 2 }: SandboxOptions) {
    this.#python = python
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
    this.#free = concurrency
    const { seconds, memoryBytes } = this.#limits
    this.name = `python-${python.version}+seconds=${seconds}+memory=${memoryBytes}`
  }

  async run(request: RunRequest, signal?: AbortSignal): Promise<RunResult> {
    if (this.#free === 0) await new Promise<void>((go) => this.#waiting.push(go))
    else this.#free--
    try {
      throwIfAborted(signal)
      return await this.#run(request, { ...this.#limits, ...request.limits }, signal)
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  #command(files: readonly string[], { fileBytes }: RunLimits): string[] {
    const isRoot = process.getuid?.() === 0
    const user = isRoot ? String(USERS.first + ((process.pid + this.#user++) % USERS.count)) : ''
    const folders = [...SYSTEM, ...this.#python.folders]
    const taken = [...folders, ...files]
    const root = MOUNT_POINTS.find((point) => existsSync(point) && !taken.some((path) => path.startsWith(`${point}/`)))
    if (root === undefined) throw invalidArgument(`no sandbox: none of ${MOUNT_POINTS.join(', ')} is free to hold its root`)
    return [
      ...['--pdeathsig=KILL', '--', 'unshare', ...(isRoot ? [] : ['--user', '--map-root-user'])],
      ...['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', '--kill-child', '--'],
      ...['sh', '-c', ENTER, 'sh', root, String(fileBytes), user, this.#python.path, String(folders.length)],
      ...[...folders, ...files],
    ]
  }

  #start({ code, before = [], files = [] }: RunRequest, limits: RunLimits) {
    const paths = files.map((file) => resolve(file))
    const child = spawn('setpriv', this.#command(paths, limits), {
      cwd: '/',
      detached: true, // a process group of its own, so that all of it can be ended
      env: { PATH, LANG: 'C.UTF-8', HOME: '/work', PYTHONHASHSEED: '0', OPENBLAS_NUM_THREADS: '1', DRIVER },
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    })
    child.stdin.on('error', () => {}) // it ended before it had read all: its code tells
    child.stdin.end(JSON.stringify({ code, before, limits: rlimits(limits) }))
    return child
  }

  #run(request: RunRequest, limits: RunLimits, signal?: AbortSignal): Promise<RunResult> {
    const child = this.#start(request, limits)
    let outcome: RunResult['outcome'] | undefined
    const end = (why?: RunResult['outcome']) => {
      outcome ??= why
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {} // it has ended
    }
    const abort = () => end()
    signal?.addEventListener('abort', abort)
    let timer = setTimeout(end, START_SECONDS * 1000)
    let [size, reason, hasBegun] = [0, '', false]
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => {
      if (size < limits.outputBytes) chunks.push(chunk.subarray(0, limits.outputBytes - size))
      size += chunk.length
      if (size > limits.outputBytes) end('output')
    })
    child.stderr.on('data', (chunk: Buffer) => {
      reason = (reason + chunk).slice(0, MAX_REASON)
    })
    child.stdio[3]?.once('data', () => {
      hasBegun = true
      clearTimeout(timer)
      timer = setTimeout(end, limits.seconds * 1000, 'time')
    })
    return new Promise((done, fail) => {
      child.once('error', (error) => fail(policyError(`no sandbox: ${error.message}`, error)))
      child.once('close', (exit) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        if (signal?.aborted) fail(aborted(signal))
        else if (!hasBegun) fail(policyError(`no sandbox: ${reason.trim() || `it ended with ${exit}`}`))
        else done({ outcome: outcome ?? outcomeOf(exit), output: Buffer.concat(chunks).toString('utf8') })
      })
    })
  }
}

const aborted = ({ reason }: AbortSignal) => new EngineError('ERR_ENGINE_ABORTED', 'the code was aborted', { cause: reason })
const outcomeOf = (exit: number | null) => (exit === 0 ? 'ended' : exit === null || exit > 128 ? 'killed' : 'failed')

/** By the names of Python's module `resource`. */
const rlimits = ({ seconds, memoryBytes, processes, fileBytes }: RunLimits) => ({
  RLIMIT_CPU: Math.ceil(seconds) + 1,
  RLIMIT_AS: memoryBytes,
  RLIMIT_NPROC: processes + (process.getuid?.() === 0 ? 0 : OWN_PROCESSES),
  RLIMIT_FSIZE: fileBytes,
  RLIMIT_NOFILE: MAX_OPEN_FILES,
  RLIMIT_CORE: 0,
  RLIMIT_MEMLOCK: 0,
  RLIMIT_MSGQUEUE: 0,
})

/**
 * A sandbox that has run a line of code, so that it is known to work here.
 * @throws EngineError INVALID_ARGUMENT with the reason where it does not
 */
export async function openSandbox(options: SandboxOptions = {}): Promise<Runner> {
  const what = missing()
  if (what) throw invalidArgument(`code cannot be run here: a sandbox is needed, and ${what}`)
  const sandbox = new Sandbox(findPython(), options)
  const tried = await sandbox.run({ code: 'print(6 * 7)', limits: { seconds: START_SECONDS } }).catch((error: Error) => error)
  if (!(tried instanceof Error) && tried.output === '42\n') return sandbox
  const why = tried instanceof Error ? tried.message : `${tried.outcome}: ${tried.output}`
  throw invalidArgument(`code cannot be run here: ${why}`)
}

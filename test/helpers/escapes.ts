/**
 * Code that tries to get out of a sandbox, or to exhaust what is around it. Each prints what it came to; whoever runs it looks
 * outside too. As a program: runs all of them with the rights of the process and prints what was not contained.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Runner, RunResult } from '../../ts/contracts/runner.ts'
import { openSandbox } from '../../ts/sandbox/index.ts'

interface Escape {
  name: string
  code: string
  outcome: RunResult['outcome']
  /** What it prints where it is contained. */
  prints: RegExp
}

/** What the attacks are told of the outside. */
interface Outside {
  port: number
  socket: string
  secret: string
  /** Argument of the processes that try to stay behind. */
  mark: string
}

const refused = (work: string, imports = 'os') =>
  `import ${imports}\ntry:\n${work.replace(/^/gm, '    ')}\n    print('done')\nexcept (OSError, ValueError, MemoryError) as error:\n    print('refused', type(error).__name__)`
const DENIED = /^refused (PermissionError|OSError|ValueError)\n$/
const C = 'import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n'
const called = (call: string) => `${C}print('refused' if ${call} < 0 else 'done')`
const REFUSED = /^refused\n$/

const escapes = ({ port, socket, secret, mark }: Outside): Escape[] => [
  {
    name: 'connects to this machine',
    code: refused(`socket.create_connection(('127.0.0.1', ${port}), 1)`, 'socket'),
    outcome: 'ended',
    prints: /^refused OSError\n$/,
  },
  {
    name: 'connects to the world',
    code: refused(`socket.create_connection(('1.1.1.1', 53), 1)`, 'socket'),
    outcome: 'ended',
    prints: /^refused OSError\n$/,
  },
  {
    name: 'sends a datagram',
    code: refused(`socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))`, 'socket'),
    outcome: 'ended',
    prints: /^refused OSError\n$/,
  },
  {
    name: 'connects to an abstract socket',
    code: refused(`socket.socket(socket.AF_UNIX).connect('\\0${socket}')`, 'socket'),
    outcome: 'ended',
    prints: /^refused ConnectionRefusedError\n$/,
  },
  {
    name: 'reads a file of the machine',
    code: refused(`print(open('${secret}').read())`),
    outcome: 'ended',
    prints: /^refused FileNotFoundError\n$/,
  },
  {
    name: 'reads accounts',
    code: refused(`open('/etc/passwd').read()`),
    outcome: 'ended',
    prints: /^refused FileNotFoundError\n$/,
  },
  {
    name: 'reads through a link',
    code: refused(`os.symlink('../../../../..${secret}', 'link')\nprint(open('link').read())`),
    outcome: 'ended',
    prints: /^refused FileNotFoundError\n$/,
  },
  {
    name: 'finds the old root',
    code: `import os\nprint(sorted(set(os.listdir('/')) & {'old', 'home', 'tmp', 'etc', 'sys', 'var', 'boot', 'run'}))`,
    outcome: 'ended',
    prints: /^\[\]\n$/,
  },
  {
    name: 'looks into /proc',
    code: `import os\ntry: print(os.listdir('/proc'))\nexcept FileNotFoundError: print([])`,
    outcome: 'ended',
    prints: /^\[\]\n$/,
  },
  {
    name: 'becomes root of a namespace of its own',
    code: called(`libc.unshare(0x10000000)`),
    outcome: 'ended',
    prints: REFUSED,
  },
  {
    name: 'takes shared memory in a namespace of its own',
    code: `${C}libc.unshare(0x10000000 | 0x08000000)\nprint('refused' if libc.shmget(0, 1 << 20, 0o1600) < 0 else 'done')`,
    outcome: 'ended',
    prints: REFUSED,
  },
  {
    name: 'mounts memory in a namespace of its own',
    code: `${C}libc.unshare(0x10000000 | 0x20000)\nos.mkdir('m')\nprint('refused' if libc.mount(b'm', b'm', b'tmpfs', 0, None) < 0 else 'done')`,
    outcome: 'ended',
    prints: REFUSED,
  },
  { name: 'writes to programs', code: refused(`open('/usr/bin/x', 'w')`), outcome: 'ended', prints: DENIED },
  { name: 'changes its input', code: refused(`open('/data/0', 'a')`), outcome: 'ended', prints: DENIED },
  {
    name: 'mounts /proc',
    code: `${C}os.mkdir('p')\nprint('refused' if libc.mount(b'proc', b'p', b'proc', 0, None) < 0 else 'done')`,
    outcome: 'ended',
    prints: REFUSED,
  },
  {
    name: 'makes programs writable',
    code: called(`libc.mount(None, b'/usr', None, 32 | 4096, None)`),
    outcome: 'ended',
    prints: REFUSED,
  },
  {
    name: 'makes programs writable in a namespace of its own',
    code: `${C}libc.unshare(0x10000000 | 0x20000)\nprint('refused' if libc.mount(None, b'/usr', None, 32 | 4096, None) < 0 else 'done')\n`,
    outcome: 'ended',
    prints: REFUSED,
  },
  { name: 'unmounts programs', code: called(`libc.umount2(b'/usr', 2)`), outcome: 'ended', prints: REFUSED },
  { name: 'leaves by chroot', code: refused(`os.chroot('/work')`), outcome: 'ended', prints: DENIED },
  { name: 'makes a device', code: refused(`os.mknod('d', 0o60666, os.makedev(8, 0))`), outcome: 'ended', prints: DENIED },
  { name: 'becomes another user', code: refused(`os.setuid(1234)`), outcome: 'ended', prints: DENIED },
  {
    name: 'raises its limits',
    code: refused(`resource.setrlimit(resource.RLIMIT_AS, (-1, -1))`, 'resource'),
    outcome: 'ended',
    prints: DENIED,
  },
  { name: 'renames the machine', code: refused(`socket.sethostname('x')`, 'socket'), outcome: 'ended', prints: DENIED },
  {
    name: 'sets the clock',
    code: refused(`time.clock_settime(time.CLOCK_REALTIME, 0)`, 'time'),
    outcome: 'ended',
    prints: DENIED,
  },
  { name: 'traces its guard', code: called(`libc.ptrace(16, 1, 0, 0)`), outcome: 'ended', prints: REFUSED },
  {
    name: 'signals everyone',
    code: `import os, signal\nfor pid in (1, os.getppid()):\n    for s in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):\n        try: os.kill(pid, s)\n        except PermissionError: pass\nprint('alive')`,
    outcome: 'ended',
    prints: /^alive\n$/,
  },
  {
    name: 'signals all',
    code: `import os, signal, time\nif os.fork() == 0: time.sleep(1e6)\nos.kill(-1, signal.SIGKILL)\nprint('alone', os.wait()[1])`,
    outcome: 'ended',
    prints: /^alone 9\n$/,
  },
  {
    name: 'ignores signals and goes on for ever',
    code: `import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass`,
    outcome: 'time',
    prints: /^$/,
  },
  { name: 'sleeps for ever', code: `import time\ntime.sleep(1e6)`, outcome: 'time', prints: /^$/ },
  { name: 'stops itself', code: `import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)`, outcome: 'time', prints: /^$/ },
  {
    name: 'forks without end',
    code: `import os, time\nmade = 0\nwhile True:\n    try:\n        if os.fork() == 0: time.sleep(1e6)\n        made += 1\n    except OSError:\n        break\nprint(made <= 8)`,
    outcome: 'ended',
    prints: /^True\n$/,
  },
  {
    name: 'forks in every child',
    code: `import os\nwhile True:\n    try: os.fork()\n    except OSError: pass`,
    outcome: 'time',
    prints: /^$/,
  },
  {
    name: 'starts threads without end',
    code: `import threading, time\nmade = 0\ntry:\n    while True:\n        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n        made += 1\nexcept RuntimeError:\n    print(made <= 8)`,
    outcome: 'ended',
    prints: /^True\n$/,
  },
  { name: 'takes memory', code: `x = bytearray(1 << 31)`, outcome: 'failed', prints: /^MemoryError/ },
  {
    name: 'takes memory bit by bit',
    code: `x = []\nwhile True: x.append(bytearray(1 << 20))`,
    outcome: 'failed',
    prints: /^MemoryError/,
  },
  { name: 'takes shared memory', code: called(`libc.shmget(0, 1 << 20, 0o1600)`), outcome: 'ended', prints: REFUSED },
  { name: 'makes semaphores', code: called(`libc.semget(0, 1, 0o1600)`), outcome: 'ended', prints: REFUSED },
  { name: 'queues messages', code: called(`libc.msgget(0, 0o1600)`), outcome: 'ended', prints: REFUSED },
  {
    name: 'fills its folder',
    code: refused(`for i in range(64): open(f'f{i}', 'wb').write(bytes(1 << 20))`),
    outcome: 'ended',
    prints: DENIED,
  },
  {
    name: 'writes one endless file',
    code: refused(`with open('f', 'wb') as f:\n    while True: f.write(bytes(1 << 20))`),
    outcome: 'ended',
    prints: DENIED,
  },
  {
    name: 'makes files without end',
    code: refused(`for i in range(1 << 20): os.close(os.open(f'f{i}', os.O_CREAT))`),
    outcome: 'ended',
    prints: DENIED,
  },
  {
    name: 'opens files without end',
    code: refused(`kept = [open('/dev/null') for _ in range(1000)]`),
    outcome: 'ended',
    prints: DENIED,
  },
  { name: 'prints without end', code: `while True: print('x' * 4096)`, outcome: 'output', prints: /^[x\n]+$/ },
  {
    name: 'prints errors without end',
    code: `import sys\nwhile True: print('x' * 4096, file=sys.stderr)`,
    outcome: 'output',
    prints: /^[x\n]+$/,
  },
  { name: 'prints what is no text', code: `import os\nos.write(1, bytes(range(256)))`, outcome: 'ended', prints: /\ufffd/ },
  {
    name: 'breaks the interpreter',
    code: `import ctypes\nctypes.string_at(0)`,
    outcome: 'killed',
    prints: /^(Segmentation fault\n)?$/,
  },
  {
    name: 'overflows the stack',
    code: `import sys\nsys.setrecursionlimit(1 << 30)\ndef f(): return [*map(lambda _: f(), [0])]\nf()`,
    outcome: 'killed',
    prints: /^(Segmentation fault\n)?$/,
  },
  {
    name: 'reads the environment',
    code: `import os\nprint([k for k in os.environ if 'SECRET' in k or k == 'DRIVER'])`,
    outcome: 'ended',
    prints: /^\[\]\n$/,
  },
  {
    name: 'uses descriptors that were left open',
    code: `import os\nleft = []\nfor n in range(3, 256):\n    try: left.append((n, os.fstat(n)))\n    except OSError: pass\nprint(left, os.read(0, 10))`,
    outcome: 'ended',
    prints: /^\[\] b''\n$/,
  },
  {
    name: 'stays behind in a session of its own',
    code: `import os\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.execvp('sleep', ['sleep', '${mark}'])\n    os._exit(0)\nos.wait()\nprint('left')`,
    outcome: 'ended',
    prints: /^left\n$/,
  },
  {
    name: 'stays behind beyond its time',
    code: `import os, time\nos.setsid() if os.getpgid(0) != os.getpid() else None\nfor _ in range(3):\n    if os.fork() == 0: os.setsid(); os.execvp('sleep', ['sleep', '${mark}'])\ntime.sleep(1e6)`,
    outcome: 'time',
    prints: /^$/,
  },
]

/** Command lines of this machine's processes that hold a text. */
export function processesWith(text: string): string[] {
  const commands = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')]
    } catch {
      return [] // it has ended
    }
  })
  return commands.filter((command) => command.includes(text))
}

/** All of them, side by side as the sandbox lets them: names of those that were tried, and what was not contained. */
export async function tryEscapes(sandbox: Runner): Promise<{ tried: string[]; escaped: string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-escapes-'))
  const secret = join(folder, 'secret.txt')
  const input = join(folder, 'input.txt')
  for (const path of [secret, input]) writeFileSync(path, 'untouched', { mode: 0o666 })
  process.env['SECRET_OF_THE_MACHINE'] = 'x'
  let connections = 0
  const [network, abstract] = [0, 1].map(() =>
    createServer((socket) => {
      connections++
      socket.destroy()
    }),
  ) as [Server, Server]
  const socket = `mm-prm-${randomUUID()}`
  await new Promise<void>((done) => network.listen(0, '127.0.0.1', done))
  await new Promise<void>((done) => abstract.listen(`\0${socket}`, done))
  const { port } = network.address() as { port: number }
  const mark = `9${process.pid}${Date.now() % 1e6}`
  const all = escapes({ port, socket, secret, mark })
  const results = await Promise.all(
    all.map(({ code, outcome }) =>
      sandbox
        .run({ code, files: [input], limits: { seconds: outcome === 'time' ? 1 : 20 } })
        .catch((error: Error) => ({ outcome: 'refused', output: error.message })),
    ),
  )
  const escaped = all.flatMap(({ name, outcome, prints }, i) => {
    const { outcome: came, output } = results[i] as RunResult
    return came === outcome && prints.test(output) ? [] : [`${name}: ${came}: ${output.slice(0, 200)}`]
  })
  network.close()
  abstract.close()
  if (connections > 0) escaped.push(`${connections} connections arrived`)
  for (const path of [secret, input])
    if (!existsSync(path) || readFileSync(path, 'utf8') !== 'untouched') escaped.push(`${path} was changed`)
  escaped.push(...processesWith(`sleep ${mark}`).map((command) => `left behind: ${command}`))
  rmSync(folder, { recursive: true })
  return { tried: all.map(({ name }) => name), escaped }
}

if (process.argv[2] === 'run') {
  const sandbox = await openSandbox({ concurrency: 4 })
  process.stdout.write(JSON.stringify(await tryEscapes(sandbox)))
}

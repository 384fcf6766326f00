/** A PostgreSQL of its own in a temporary folder, reached by a socket in it; and a Node that can use it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { appendFileSync, chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const DEBIAN = '/usr/lib/postgresql'
/** What postgres:// needs. */
const NODE = [22, 12] as const

function binaries(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : []
  const folders = [...(process.env['PATH'] ?? '').split(':'), ...versions.map((version) => join(DEBIAN, version, 'bin'))]
  return folders.find((folder) => ['initdb', 'pg_ctl', 'postgres'].every((name) => existsSync(join(folder, name))))
}

/** It refuses to run as root. */
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string, name: string) => spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout.trim()
  const name = id('-u', 'postgres') ? 'postgres' : 'nobody'
  return { uid: Number(id('-u', name)), gid: Number(id('-g', name)) }
}

export interface Postgres {
  readonly url: string
  readonly folder: string
  /** Process of the server, whose children serve the connections. */
  readonly pid: number
  /** As after a crash: no client is waited for. */
  restart(): void
  stop(): void
}

/**
 * undefined where PostgreSQL is not installed.
 * @param listen an address of this machine to be reached at too, by whoever is in its network of 24 bits
 */
export function startPostgres(listen = ''): Postgres | undefined {
  const bin = binaries()
  if (!bin) return undefined
  const as = owner()
  const folder = mkdtempSync(join(tmpdir(), 'mm-prm-pg-'))
  const data = join(folder, 'data')
  mkdirSync(data)
  if (as.uid !== undefined) for (const path of [folder, data]) chownSync(path, as.uid, as.gid as number)
  const run = (name: string, ...args: string[]) =>
    execFileSync(join(bin, name), args, { ...as, cwd: folder, stdio: 'ignore', timeout: 60_000 })
  run('initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C')
  if (listen) appendFileSync(join(data, 'pg_hba.conf'), `host all all ${listen}/24 trust\n`)
  const options = `-c listen_addresses='${listen}' -c unix_socket_directories=${folder} -c max_connections=300`
  const control = (...args: string[]) => run('pg_ctl', '-D', data, '-w', '-o', options, '-l', join(folder, 'log'), ...args)
  control('start')
  return {
    url: `postgres:///postgres?host=${folder}&user=postgres`,
    folder,
    pid: Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]),
    restart: () => control('restart', '-m', 'immediate'),
    stop() {
      control('stop', '-m', 'immediate')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export function isNewEnough(version = process.versions.node): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > NODE[0] || (major === NODE[0] && minor >= NODE[1])
}

/** This Node, or npm's binary of version 22, which is installed once; undefined where that cannot be had. */
export function findNewNode(): string | undefined {
  if (isNewEnough()) return process.execPath
  const folder = join(ROOT, 'build/node22')
  const path = join(folder, 'node_modules/node/bin/node')
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    spawnSync('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', 'node@22'], {
      timeout: 240_000,
      stdio: 'ignore',
    })
  }
  return existsSync(path) ? path : undefined
}

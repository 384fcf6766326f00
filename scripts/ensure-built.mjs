#!/usr/bin/env node
// Builds what is missing or older than its sources, and nothing else: a fresh clone runs without a build command.
//
//   node scripts/ensure-built.mjs [addon] [tests] [ts]
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '..')
const NATIVE = ['native', 'src', 'CMakeLists.txt', 'scripts/native.cjs', 'package-lock.json']
const PRODUCTS = {
  addon: { script: ['scripts/native.cjs', 'build'], product: 'build/Release/mm_prm.node', sources: NATIVE },
  tests: {
    script: ['scripts/native.cjs', 'tests'],
    product: 'build/tests/native_test',
    sources: [...NATIVE, 'test/native', 'test/cuda', 'test/device', 'bench/native', 'bench/cuda'],
  },
}

/** Newest change under a file or folder, in ms; folders count, so a deleted file is a change. 0 where it is absent. */
function newest(path) {
  const info = statSync(path, { throwIfNoEntry: false })
  if (!info?.isDirectory()) return info?.mtimeMs ?? 0
  return Math.max(info.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}

function run(args) {
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function ensureNative(name) {
  const { script, product, sources } = PRODUCTS[name]
  // WHY a stamp: a build that finds nothing to link leaves the product older than the sources.
  const stamp = join(root, 'build', `${name}.built`)
  const built = statSync(join(root, product), { throwIfNoEntry: false }) ? newest(stamp) : 0
  if (built > Math.max(...sources.map((s) => newest(join(root, s))))) return
  const began = new Date()
  console.error(`building ${product} …`)
  run(script)
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, '')
  utimesSync(stamp, began, began) // what changed during the build is still to be built
}

function ensureTypeScript() {
  const require = createRequire(import.meta.url)
  const compiler = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
  run([compiler, '-b'])
}

for (const name of process.argv.slice(2)) {
  if (name in PRODUCTS) ensureNative(name)
  else if (name === 'ts') ensureTypeScript()
  else throw new Error(`ensure-built: no "${name}"; known: ${Object.keys(PRODUCTS).join(', ')}, ts`)
}

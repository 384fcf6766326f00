#!/usr/bin/env node
// The one door to the native build; CMakeLists.txt does the work.
//
//   node scripts/native.cjs build [--debug]       development (cmake-js where installed, else plain cmake)
//   node scripts/native.cjs rebuild --arch=x64 …  what prebuildify calls in place of node-gyp
//   … --product-dir D --node-root-dir R           what binding.gyp's action calls
//   node scripts/native.cjs tests                 native_test, native_bench and fuzzers, into build/tests
//   … tests --sanitize=address,undefined          the same with sanitizers, into build/tests-address-undefined
//   … tests --sanitize=thread --targets=a,b       of these, the named programs alone
//   node scripts/native.cjs cuda [--sanitize=…]   of these, what tests CUDA code on the emulated device
//   … build --sanitize=address,undefined          the addon from the same tree, into its build/Release:
//                                                 MM_PRM_PREBUILD=$PWD/build/tests-address-undefined loads it
//   node scripts/native.cjs --list-inputs         every native source, for binding.gyp
'use strict'
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const argv = process.argv.slice(2)
const JOBS = String(os.availableParallelism())

function option(name) {
  const i = argv.findIndex((a) => a === name || a.startsWith(`${name}=`))
  if (i < 0) return undefined
  return argv[i].includes('=') ? argv[i].slice(argv[i].indexOf('=') + 1) : argv[i + 1]
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (result.error) {
    console.error(`mm-prm: cannot run ${command}: ${result.error.message}`)
    if (result.error.code === 'ENOENT') console.error('mm-prm: building from source needs CMake >= 3.22 and a C++20 compiler')
    process.exit(1)
  }
  if (result.status !== 0) process.exit(result.status ?? 1)
}

function resolveOr(request, fallback) {
  try {
    return require.resolve(request)
  } catch {
    return fallback
  }
}

function listInputs() {
  const out = []
  for (const folder of ['native', 'src']) {
    for (const file of fs.readdirSync(path.join(root, folder), { recursive: true })) {
      if (/\.(cc|cu|cuh|h|def)$/.test(file)) out.push(path.posix.join(folder, file.split(path.sep).join('/')))
    }
  }
  console.log(out.join('\n'))
}

/** Where node_api.h lies: with Node itself, or in an npm package. */
function nodeHeaders() {
  const beside = path.join(option('--node-root-dir') ?? path.resolve(process.execPath, '../..'), 'include', 'node')
  const apiHeaders = resolveOr('node-api-headers/package.json')
  const found = [beside, apiHeaders && path.join(path.dirname(apiHeaders), 'include')].find(
    (folder) => folder && fs.existsSync(path.join(folder, 'node_api.h')),
  )
  if (found) return found
  console.error(`mm-prm: no node_api.h in ${beside}: install Node's headers, or the npm package node-api-headers`)
  return process.exit(1)
}

/** Node's headers and node-addon-api's. WHY not the latter's own include_dir: it is relative to the current folder. */
function addonHeaders() {
  return [nodeHeaders(), path.dirname(require.resolve('node-addon-api/package.json'))].join(';')
}

const isSamePlace = (a, b) => fs.existsSync(a) && fs.realpathSync(a) === fs.realpathSync(b)

/** Away with a tree that CMake made for a checkout in another place, moved or copied here: CMake would refuse it. */
function forgetOtherPlaces(work) {
  const cache = path.join(work, 'CMakeCache.txt')
  if (!fs.existsSync(cache)) return
  const text = fs.readFileSync(cache, 'utf8')
  const places = { CMAKE_HOME_DIRECTORY: root, CMAKE_CACHEFILE_DIR: work }
  const isOurs = Object.entries(places).every(([name, place]) => {
    const found = new RegExp(`^${name}:INTERNAL=(.*)$`, 'm').exec(text)
    return found !== null && isSamePlace(found[1], place)
  })
  if (!isOurs) fs.rmSync(work, { recursive: true })
}

function cmake(work, targets, definitions) {
  forgetOtherPlaces(work)
  run('cmake', ['-S', root, '-B', work, ...Object.entries(definitions).map(([k, v]) => `-D${k}=${v}`)])
  run('cmake', ['--build', work, '--target', ...targets, '--parallel', JOBS])
}

/** The addon, or the executables of the native floor: both from one tree, so that they share their objects. */
function build(target) {
  const config = argv.includes('--debug') ? 'Debug' : 'Release'
  // node-gyp-build and prebuildify take the first .node in build/Release, so CMake's own files live elsewhere.
  const product = path.resolve(root, option('--product-dir') ?? path.join('build', config))
  const work = path.join(root, 'build', `cmake-${config.toLowerCase()}`)
  const definitions = { CMAKE_LIBRARY_OUTPUT_DIRECTORY: product, MMPRM_TESTS_DIR: path.join(root, 'build', 'tests') }
  if (argv[0] === 'rebuild') fs.rmSync(work, { recursive: true, force: true })
  fs.mkdirSync(product, { recursive: true })
  const cmakeJs = resolveOr('cmake-js/bin/cmake-js')
  if (cmakeJs) {
    const arch = option('--arch')
    const more = Object.entries(definitions).map(([k, v]) => `--CD${k}=${v}`)
    forgetOtherPlaces(work)
    const place = ['-d', root, '-O', work, '-B', config, '-T', target, '--parallel', JOBS]
    run(process.execPath, [cmakeJs, 'build', ...place, ...(arch ? ['-a', arch] : []), ...more])
    return
  }
  cmake(work, [target], { ...definitions, CMAKE_JS_INC: addonHeaders(), CMAKE_BUILD_TYPE: config })
}

/**
 * A tree for each set of sanitizers, shared by tests and addon as the plain one is. Node is not built with sanitizers, so
 * who loads such an addon preloads their runtime (LD_PRELOAD of what `g++ -print-file-name=libasan.so` says).
 */
function buildSanitized(sanitizers) {
  const target = { build: 'mm_prm', cuda: 'cuda_tests' }[argv[0]] ?? 'native_tests'
  const targets = option('--targets')?.split(',') ?? [target]
  const work = path.resolve(root, option('--dir') ?? path.join('build', `tests-${sanitizers.replace(',', '-')}`))
  const definitions = { MMPRM_SANITIZE: sanitizers, CMAKE_BUILD_TYPE: 'RelWithDebInfo' }
  if (target === 'mm_prm') {
    definitions.CMAKE_JS_INC = addonHeaders()
    definitions.CMAKE_LIBRARY_OUTPUT_DIRECTORY = path.join(work, 'build/Release')
  }
  cmake(work, targets, definitions)
}

const sanitizers = option('--sanitize')
if (argv.includes('--list-inputs')) listInputs()
else if (sanitizers) buildSanitized(sanitizers)
else build({ tests: 'native_tests', cuda: 'cuda_tests' }[argv[0]] ?? 'mm_prm')

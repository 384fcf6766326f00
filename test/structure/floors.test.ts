/** The floors of the repository, read from its sources: who may include or import whom, how large files grow. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = join(import.meta.dirname, '../..')
const WARN_LINES = 400
const MAX_LINES = 800

/** Which folders of native/ a folder may include; `include` holds the engine's public headers. */
const NATIVE_ORDER: Record<string, string[]> = {
  include: [],
  base: [],
  compat: [],
  formats: ['base'],
  image: ['base'],
  device: ['base'],
  kernels: ['base', 'device', 'cuda'],
  cuda: ['base', 'device', 'kernels'],
  cpu: ['base', 'device', 'kernels'],
  backends: ['base', 'device', 'kernels', 'cpu'],
  models: ['base', 'device', 'formats'],
  engine: ['base', 'device', 'formats', 'models', 'image', 'backends'],
  train: ['base', 'device', 'formats', 'models', 'backends'],
}
const NATIVE_FORBIDDEN =
  /<(?:napi|node_api|node|v8|uv|iostream)(?:\.h)?>|\b(?:getenv|printf|puts|abort|_?exit|quick_exit)\s*\(|std::(?:cout|cerr|clog)\b/

/** Headers that some files of a folder may include and others not. */
const NATIVE_ONLY_IN: [header: RegExp, files: RegExp, why: string][] = [
  [/^device\/address\.h$/, /^native\/(cpu|cuda|backends)\//, 'graphs do not read tensors'],
  [
    /^backends\//,
    /^native\/(backends\/|engine\/engine_impl\.cc$|train\/trainer\.cc$)/,
    'only who opens a device knows which there are',
  ],
]
/** Cases of kernels are compiled into the tests alone, and run on the threads of the CPU. */
const NATIVE_CASES = /(?:_cases\.cc|\/kernel_case\.h|\/case_data\.h|_case_data\.h|_case\.h)$/

/** Composition roots see every folder; all others see themselves, the contracts and the readers of pictures and rows. */
const TS_ROOTS = ['cli', 'kit', 'mini', 'serve', 'index.ts']
const TS_SHARED = ['contracts', 'images', 'rows']

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
// WHY git's list: build outputs and other people's scratch files are none of our business.
const FILES = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)))
const under = (folder: string, ext: RegExp) => FILES.filter((path) => path.startsWith(`${folder}/`) && ext.test(path))

/** Text without comments, so that prose may name what code must not. */
const code = (path: string) => read(path).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map((m) => m[1] as string)

test('native folders include only what lies below them', () => {
  const sources = under('native', /\.(cc|h|def|cu|cuh)$/)
  assert.ok(sources.length > 50, 'native sources were found')
  const bad: string[] = []
  for (const path of sources) {
    const folder = path.split('/')[1] as string
    const allowed = NATIVE_ORDER[folder]
    assert.ok(allowed, `${path}: native/${folder} has no place in the order of floors`)
    for (const header of matches(code(path), /#include "([^"]+)"/g)) {
      const local = normalize(join(dirname(path), header))
      const target = existsSync(join(ROOT, local)) ? local : join('native', header)
      const seen = target.split('/')[1] as string
      const isCase = seen === 'cpu' && NATIVE_CASES.test(path)
      if (seen !== folder && seen !== 'include' && !allowed.includes(seen) && !isCase) bad.push(`${path} includes "${header}"`)
      for (const [pattern, files, why] of NATIVE_ONLY_IN) {
        if (pattern.test(header) && !files.test(path)) bad.push(`${path} includes "${header}": ${why}`)
      }
    }
  }
  assert.equal(bad, [])
})

test('native code knows no Node, does not print, exit or read the environment', () => {
  const bad = under('native', /\.(cc|h|def|cu|cuh)$/).flatMap((path) => {
    const found = NATIVE_FORBIDDEN.exec(code(path))
    return found ? [`${path}: ${found[0]}`] : []
  })
  assert.equal(bad, [])
})

test('CUDA code reaches PTX, launches and the runtime through native/cuda alone', () => {
  const doors = /^native\/cuda\/(?:target|launch|tensor_map|ptx_\w+)\.h$/
  const sources = FILES.filter((path) => /^native\/cuda\/|\.cuh?$/.test(path) && !doors.test(path) && /\.(?:h|cuh?)$/.test(path))
  assert.ok(sources.length > 0)
  // Each would compile for one of the two compilers alone, or mean something else for the other.
  const forbidden = /\basm\b|<<<|\b__shared__\b|#include\s*<(?:cuda|nv|mma)[^>]*>|\b__CUDA_ARCH\w*|\b__CUDACC__\b/
  const bad = sources.flatMap((path) => {
    const found = forbidden.exec(code(path))
    return found ? [`${path}: ${found[0]}`] : []
  })
  assert.equal(bad, [])
})

test('the addon sees the public headers, Node-API and itself', () => {
  const sources = under('src', /\.(cc|h)$/)
  assert.ok(sources.length > 0)
  const bad = sources.flatMap((path) =>
    matches(code(path), /#include "([^"]+)"/g)
      .filter((header) => !existsSync(join(ROOT, 'src', header)) && !existsSync(join(ROOT, 'native/include', header)))
      .map((header) => `${path} includes "${header}"`),
  )
  assert.equal(bad, [])
})

const IMPORTS = /(?:\bfrom|\bimport|\bimport\()\s*'([^']+)'/g

/** Shared folders see those that stand before them. */
function seesBelow(folder: string, seen: string): boolean {
  const rank = (name: string) => (TS_SHARED.includes(name) ? TS_SHARED.indexOf(name) : TS_SHARED.length)
  return TS_SHARED.includes(seen) && rank(seen) < rank(folder)
}

test('a folder of ts/ imports itself and what all share; only the engine sees the addon', () => {
  const sources = under('ts', /\.ts$/)
  assert.ok(sources.length > 20, 'TypeScript sources were found')
  const bad: string[] = []
  for (const path of sources) {
    const folder = path.split('/')[1] as string
    for (const target of matches(code(path), IMPORTS)) {
      if (!target.startsWith('.')) continue
      const seen = normalize(join(dirname(path), target)).split('/')
      const allowed =
        seen[0] === 'ts' && (TS_ROOTS.includes(folder) || seen[1] === folder || seesBelow(folder, seen[1] as string))
      if (!allowed) bad.push(`${path} imports '${target}'`)
    }
    if (path !== 'ts/engine/native.ts' && /node-gyp-build|\.node'/.test(code(path))) bad.push(`${path} loads the addon`)
  }
  assert.equal(bad, [])
})

test('every folder of ts/ is a project of the build', () => {
  const references = (path: string) => matches(read(path), /"path": "([^"]+)"/g)
  const folders = readdirSync(join(ROOT, 'ts'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const root = references('tsconfig.json')
  for (const { name } of folders) {
    assert.ok(root.includes(`ts/${name}`), `tsconfig.json: a line { "path": "ts/${name}" } is missing`)
    if (TS_ROOTS.includes(name)) continue
    const seen = references(`ts/${name}/tsconfig.json`)
    assert.equal(
      seen.filter((path) => !seesBelow(name, path.slice('../'.length))),
      [],
      `ts/${name}/tsconfig.json`,
    )
  }
})

test('files stay small', () => {
  const sources = FILES.filter((path) => /\.(cc|h|cu|cuh|ts|mjs|cjs)$/.test(path) && !path.startsWith('test/golden/'))
  const sizes = sources.map((path) => ({ path, lines: read(path).split('\n').length - 1 }))
  for (const { path, lines } of sizes) if (lines > WARN_LINES) console.log(`warning: ${path} has ${lines} lines`)
  assert.equal(
    sizes.filter((file) => file.lines > MAX_LINES),
    [],
  )
})

test('commands that the documents name exist', () => {
  const scripts = Object.keys(JSON.parse(read('package.json')).scripts)
  const commands = matches(read('ts/cli/main.ts'), /^ {2}'?([a-z-]+)'?: \{/gm)
  let checked = 0
  for (const path of FILES.filter((file) => /\.md$/.test(file) && !file.startsWith('test/golden/'))) {
    for (const name of matches(read(path), /npm run ([\w:-]+)/g)) {
      assert.ok(scripts.includes(name), `${path}: npm run ${name}`)
      checked++
    }
    for (const name of matches(read(path), /^(?:npx )?mm-prm ([a-z-]+)/gm)) {
      assert.ok(commands.includes(name), `${path}: mm-prm ${name}`)
      checked++
    }
    for (const name of matches(read(path), /node (scripts\/[\w.-]+)/g))
      assert.ok(existsSync(join(ROOT, name)), `${path}: ${name}`)
  }
  assert.ok(checked > 0, 'the README names commands')
})

test('package.json keeps what installing without a compiler needs', () => {
  const manifest = JSON.parse(read('package.json'))
  assert.is(manifest.name, 'mm-prm')
  assert.is(manifest.type, 'module')
  assert.is(manifest.license, 'MIT')
  assert.is(manifest.engines.node, '^20.19.0 || >=22.12.0')
  assert.equal(manifest.binary, { napi_versions: [8] }, 'cmake-js finds napi.h through it')
  assert.is(manifest.gypfile, false, 'or npm runs node-gyp')
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) assert.not.ok(manifest.scripts[script], script)
  for (const name of ['dist', 'prebuilds', 'native', 'src', 'scripts/native.cjs', 'binding.gyp', 'CMakeLists.txt']) {
    assert.ok(manifest.files.includes(name), `files: ${name}`)
  }
  for (const name of ['node-addon-api', 'node-gyp-build']) assert.ok(manifest.dependencies[name], `dependencies: ${name}`)
})

test.run()

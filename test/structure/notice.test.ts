/** NOTICE names what is installed beside the package, with the licenses that those parts state; the tarball holds no tests. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = join(import.meta.dirname, '../..')
const NOTICE = readFileSync(join(ROOT, 'NOTICE'), 'utf8')
const readJson = (path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'))
const manifest = readJson('package.json')
const paragraphs = NOTICE.split('\n\n')
/** The paragraph in which a name stands as a word of its own. */
const about = (name: string) => {
  const escaped = name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
  return paragraphs.find((text) => new RegExp(`(?<![\\w@/-])${escaped}(?![\\w/-])`).test(text))
}

test('every dependency is named, under the license that it states', () => {
  const names = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })
  assert.ok(names.length > 5)
  for (const name of names) {
    const path = `node_modules/${name}/package.json`
    if (!existsSync(join(ROOT, path)) && name in manifest.optionalDependencies) continue
    const { license } = readJson(path)
    const text = about(name)
    assert.ok(text, `NOTICE: ${name} is missing`)
    assert.ok(text.includes(license), `NOTICE: ${name} is under ${license}`)
  }
})

test('what libvips carries is named, under the LGPL where it is', () => {
  const scope = join(ROOT, 'node_modules/@img')
  const folder = readdirSync(scope).find((name) => name.startsWith('sharp-libvips-'))
  assert.ok(folder, 'sharp carries libvips here')
  const rows = readFileSync(join(scope, folder, 'README.md'), 'utf8').matchAll(/^\| ([\w-]+) +\| (.*?) +\|$/gm)
  const libraries = [...rows].filter(([, name]) => name !== 'Library')
  assert.ok(libraries.length > 20)
  const lgpl = paragraphs.find((text) => text.includes('libvips, pango')) ?? ''
  for (const [, name = '', license = ''] of libraries) {
    assert.ok(about(name), `NOTICE: ${name} (${license}) is missing`)
    assert.is(new RegExp(`\\b${name}\\b`).test(lgpl), license.startsWith('LGPL'), `${name}: ${license}`)
  }
})

test('the tarball holds the notice and no test cases', () => {
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], { cwd: ROOT, encoding: 'utf8' })
  const files: string[] = JSON.parse(stdout)[0].files.map((file: { path: string }) => file.path)
  for (const name of ['NOTICE', 'LICENSE', 'native/kernels/ops.def', 'CMakeLists.txt']) assert.ok(files.includes(name), name)
  assert.equal(
    files.filter((name) => /_cases?[._]|_case_|case_data|kernel_case|\.test\.|^(test|bench)\//.test(name)),
    [],
  )
})

test('nothing that is built from the tarball includes what it lacks', () => {
  const sources = readdirSync(join(ROOT, 'native'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.(cc|h|cu|cuh)$/.test(name),
  )
  const lacks = (name: string) => /_cases[^/]*\.cc$|case[^/]*\.h$/.test(name)
  const bad = sources
    .filter((name) => !lacks(name))
    .filter((name) => /#include "[^"]*case[^"/]*\.h"/.test(readFileSync(join(ROOT, 'native', name), 'utf8')))
  assert.equal(bad, [])
})

test.run()

/** What the compiler and linker made: no code shared between instruction sets, and an addon that old systems load. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = join(import.meta.dirname, '../..')
const OBJECTS = join(ROOT, 'build/cmake-release/CMakeFiles')
const ADDON = join(ROOT, 'build/Release/mm_prm.node')
/** Node 20's own floor. */
const GLIBC_MINOR = 28

const run = (command: string, ...args: string[]) => execFileSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
const onX64 = process.arch === 'x64' ? test : test.skip
const onLinux = process.platform === 'linux' ? test : test.skip

// WHY: a weak symbol (an inline function, a template) is kept once by the linker. If the copy compiled for a wide
// instruction set wins, it also runs on processors that lack it.
onX64('kernel objects of an instruction set have no weak symbols', () => {
  const objects = readdirSync(OBJECTS, { recursive: true, encoding: 'utf8' }).filter((name) => /^mmprm_kernels_.*\.o$/.test(name))
  assert.ok(objects.length > 0, `no kernel objects under ${OBJECTS}`)
  const weak = objects.flatMap((name) =>
    run('nm', '-C', join(OBJECTS, name))
      .split('\n')
      .filter((line) => / [WVu] /.test(line))
      .map((line) => `${name}: ${line}`),
  )
  assert.equal(weak, [])
  console.log(`${objects.length} kernel objects`)
})

onLinux('the addon loads where Node 20 does', () => {
  const symbols = run('objdump', '-T', ADDON)
  const minors = [...symbols.matchAll(/GLIBC_2\.(\d+)/g)].map((m) => Number(m[1]))
  assert.ok(minors.length > 0)
  assert.ok(Math.max(...minors) <= GLIBC_MINOR, `needs GLIBC_2.${Math.max(...minors)}`)
  assert.not.match(symbols, /GLIBCXX_/, 'libstdc++ is linked in')
})

onLinux('the addon exports its entry points alone', () => {
  const names = run('nm', '-D', '--defined-only', ADDON)
    .trim()
    .split('\n')
    .map((line) => line.split(' ').at(-1))
  assert.equal(names.sort(), ['napi_register_module_v1', 'node_api_module_get_api_version_v1'])
})

onLinux('the addon stays loaded once it was, and its table of foreign functions is read-only', () => {
  assert.match(run('readelf', '--dynamic', '--wide', ADDON), /\(FLAGS_1\).*\bNOW\b.*\bNODELETE\b/)
  assert.match(run('readelf', '--program-headers', '--wide', ADDON), /GNU_RELRO/)
})

/** Of each source that reads strangers' data: its object, and whether the compiler found buffers to guard in it. */
const STRANGERS = { 'mmprm_native.dir/native': ['formats', 'image', 'models'], 'mm_prm.dir/src': ['.'] }

onLinux('what reads strangers’ data guards its stack, and was compiled with checked library calls', () => {
  assert.match(run('nm', '-D', '--undefined-only', ADDON), /__stack_chk_fail/)
  const build = join(OBJECTS, '..')
  const ninja = join(build, 'build.ninja')
  let guarded = 0
  for (const [folder, parts] of Object.entries(STRANGERS)) {
    for (const part of parts) {
      const names = readdirSync(join(OBJECTS, folder, part)).filter((name) => name.endsWith('.o'))
      assert.ok(names.length > 0, `no objects under ${join(folder, part)}`)
      for (const name of names) guarded += Number(/__stack_chk_fail/.test(run('nm', join(OBJECTS, folder, part, name))))
      const flags = existsSync(ninja)
        ? readFileSync(ninja, 'utf8')
        : readFileSync(join(OBJECTS, folder.replace(/\/.*/, ''), 'flags.make'), 'utf8')
      const fortified = flags.match(/-fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2/g) ?? []
      assert.ok(fortified.length >= names.length, `${part}: ${fortified.length} commands for ${names.length} objects`)
    }
  }
  // A file without a buffer on its stack has nothing to guard.
  assert.ok(guarded > 30, `${guarded} objects guard their stack`)
})

test.run()

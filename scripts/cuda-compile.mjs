#!/usr/bin/env node
// Compiles every .cu for all its targets (sm_80, 86, 89, 90a, compute_80 PTX) and judges what came out without a card:
// no warning, spill, stack frame or local memory; every instruction that a source asks ptx.h for is in its machine code;
// no product or sum that a compiler could have fused. Ends with `N passed, N failed`, one per source.
//
//   node scripts/cuda-compile.mjs
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { buildCuda, root, TOOLKIT, WORK } from './cuda-build.mjs'

const TARGETS = ['sm_80', 'sm_86', 'sm_89', 'sm_90a']

/** What a source calls, and what then must be in its machine code; `from` is the first class that has it. */
const INSTRUCTIONS = [
  { call: /\bcopy_async16\s*\(/, opcode: 'LDGSTS', from: 80 },
  { call: /\bload_matrix\d\w*\s*\(/, opcode: 'LDSM', from: 80 },
  { call: /\bmma\s*\(/, opcode: 'HMMA', from: 80 },
  { call: /\bmma_s8[su]8\s*\(/, opcode: 'IMMA', from: 80 },
  { call: /\btile_load\s*\(/, opcode: 'UTMALDG', from: 90 },
  { call: /\btile_store\s*\(/, opcode: 'UTMASTG', from: 90 },
  { call: /\bstore_matrix\d\w*\s*\(/, opcode: 'STSM', from: 90 },
  { call: /\bwgmma_[rs]s\s*</, opcode: 'HGMMA', from: 90 },
  { call: /\bwgmma_int8_[rs]s\s*</, opcode: 'IGMMA', from: 90 },
]
/** Must occur somewhere, or the checks above check nothing. */
const ALWAYS = { sm_80: ['HMMA', 'LDGSTS', 'LDSM'], sm_90a: ['HGMMA', 'UTMALDG'] }

function output(command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 30 })
  if (error) throw error
  if (status !== 0) {
    console.log(stdout + stderr)
    console.log(`${command} ended with ${status}\n0 passed, 1 failed`)
    process.exit(1)
  }
  return stdout
}

/** A source with the local headers that it includes, without comments and without ptx.h's own files. */
function textOf(path, seen = new Set()) {
  if (seen.has(path) || /native\/cuda\/(?:ptx|launch|target|tensor_map|runtime)[^/]*$/.test(path)) return ''
  seen.add(path)
  const text = readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  const headers = [...text.matchAll(/#include "([^"]+)"/g)].map((m) => m[1])
  const places = headers.map((h) =>
    [dirname(path), join(root, 'native'), join(root, 'test/cuda')].map((d) => join(d, h)).find(existsSync),
  )
  return text + places.map((place) => (place ? textOf(place, seen) : '')).join('\n')
}

/** Opcodes by target, from cuobjdump's listing. */
function opcodesOf(object) {
  const byTarget = Object.fromEntries(TARGETS.map((t) => [t, new Set()]))
  let target = ''
  for (const line of output(join(TOOLKIT, 'bin/cuobjdump'), ['--dump-sass', object]).split('\n')) {
    const arch = /^arch = (\w+)/.exec(line)
    if (arch) target = arch[1]
    const opcode = /^\s+\/\*[0-9a-f]+\*\/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]*)/.exec(line)
    if (opcode && target) byTarget[target]?.add(opcode[1])
  }
  return byTarget
}

/**
 * Kernels whose warpgroups lend each other registers, and how many a thread must begin with, so that one group gives back what
 * all others ask for. With fewer they would wait for ever.
 */
function registersAtLaunch(object) {
  const wanted = new Map()
  for (const file of readdirSync(`${object}.ptx`)) {
    for (const entry of readFileSync(join(`${object}.ptx`, file), 'utf8')
      .split(/\.entry\s+/)
      .slice(1)) {
      const most = (way) =>
        Math.max(...[...entry.matchAll(new RegExp(`setmaxnreg\\.${way}\\S*\\s+(\\d+)`, 'g'))].map((m) => Number(m[1])))
      const groups = Number(/\.maxntid\s+(\d+)/.exec(entry)?.[1]) / 128
      if (entry.includes('setmaxnreg')) wanted.set(/^\w+/.exec(entry)[0], (most('dec') + (groups - 1) * most('inc')) / groups)
    }
  }
  return wanted
}

function judge(object, seen) {
  const source = join(root, /\/(?:native|test)\/.*$/.exec(`/${sourceOf(object)}`)[0])
  const problems = []
  const log = readFileSync(`${object}.log`, 'utf8').split('\n')
  let kernel = ''
  let kernels = 0
  let registers = 0
  const wanted = registersAtLaunch(object)
  for (const line of log) {
    const compiling = /Compiling entry function '([^']+)' for '([^']+)'/.exec(line)
    if (compiling) kernel = `${compiling[1]} [${compiling[2]}]`
    const memory = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/.exec(line)
    if (memory?.slice(1).some((n) => n !== '0')) problems.push(`${kernel}: ${memory[0]}`)
    const used = /Used (\d+) registers/.exec(line)
    if (used) {
      kernels++
      registers = Math.max(registers, Number(used[1]))
      const least = kernel.endsWith('[sm_90a]') ? wanted.get(kernel.split(' ')[0]) : undefined
      if (least !== undefined && !(Number(used[1]) >= least))
        problems.push(`${kernel}: begins with ${used[1]} registers, which is less than the ${least} that its groups share`)
    }
    if (/warning|error|\(C\d{4}\)/i.test(line)) problems.push(line.trim())
  }
  const text = textOf(source)
  if (kernels === 0 && text.includes('__global__ ')) problems.push('ptxas named no kernel: nothing was checked')
  const opcodes = kernels > 0 ? opcodesOf(object) : Object.fromEntries(TARGETS.map((t) => [t, new Set()]))
  for (const target of TARGETS) {
    const here = opcodes[target]
    for (const opcode of here) seen[target].add(opcode)
    for (const local of ['LDL', 'STL']) if (here.has(local)) problems.push(`${target}: ${local} (local memory)`)
    for (const { call, opcode, from } of INSTRUCTIONS) {
      if (kernels > 0 && Number.parseInt(target.slice(3), 10) >= from && call.test(text) && !here.has(opcode))
        problems.push(`${target}: no ${opcode}`)
    }
  }
  const ptx = readdirSync(`${object}.ptx`)
  if (ptx.length < 2) problems.push(`PTX of ${ptx.length} targets was kept, not of 2`)
  for (const file of ptx) {
    const fusible = /^.*\b(?:mul|add|sub)\.(?:ftz\.)?f(?:32|64)\b.*$/m.exec(readFileSync(join(`${object}.ptx`, file), 'utf8'))
    if (fusible) problems.push(`${file}: ${fusible[0].trim()} (without .rn it may be fused)`)
  }
  const name = relative(root, source)
  const size = `${kernels} kernels and targets, at most ${registers} registers`
  console.log(problems.length === 0 ? `ok   ${name}: ${size}` : `FAIL ${name}: ${size}\n     ${problems.join('\n     ')}`)
  return problems.length === 0
}

/** CMake puts an object where its source lies, with `__` for `..`. */
const sourceOf = (object) =>
  /CMakeFiles\/(\w+)\.dir\/(.*)\.o$/
    .exec(object)[2]
    .replace(/^(?:__\/)+conformance/, 'test/cuda/conformance')
    .replace(/^(?:__\/)+/, '')

try {
  buildCuda('cuda_objects')
} catch (error) {
  console.log(`${error.message}\n0 passed, 1 failed`)
  process.exit(1)
}
const objects = readdirSync(WORK, { recursive: true })
  .map((path) => join(WORK, path))
  .filter((path) => path.endsWith('.cu.o') && existsSync(`${path}.log`))
const seen = Object.fromEntries(TARGETS.map((t) => [t, new Set()]))
let failed = objects.filter((object) => !judge(object, seen)).length
for (const [target, opcodes] of Object.entries(ALWAYS)) {
  for (const opcode of opcodes.filter((o) => !seen[target].has(o))) {
    console.log(`FAIL ${target}: no source has ${opcode}`)
    failed++
  }
}
if (objects.length === 0) failed++
console.log(`${Math.max(0, objects.length - failed)} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0

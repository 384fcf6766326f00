#!/usr/bin/env node
// Runs the attacks of test/attack and writes what came of each into test/attack/README.md.
//
//   node scripts/attacked.mjs [--timeout SECONDS] [FILE…]    with files: prints, and leaves the page as it is
//
// WHY a page of sentences: a test that passes says only that nothing was found; here it says what was tried.
import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const root = join(import.meta.dirname, '..')
const folder = 'test/attack'
const { values, positionals } = parseArgs({
  options: { timeout: { type: 'string', default: '900' } },
  allowPositionals: true,
})

/** Runs one file; resolves to its rows, and to why it failed where it did. */
function run(file) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', file], { cwd: root, detached: true })
    let output = ''
    let hangs = false
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    const timer = setTimeout(() => {
      hangs = true
      process.kill(-child.pid, 'SIGKILL')
    }, Number(values.timeout) * 1000)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const rows = [...output.matchAll(/attacked (\{"attackedWith":.*\})$/gm)].map(([, json]) => JSON.parse(json))
      const crash = signal ? `died of ${signal}` : code === 0 ? undefined : 'did not stand all of it'
      const problem = hangs ? `hung for ${values.timeout} s` : (crash ?? (rows.length === 0 ? 'told nothing' : undefined))
      resolve({ rows, problem, output })
    })
  })
}

const all = readdirSync(join(root, folder)).filter((name) => name.endsWith('.slow.ts'))
const files = positionals.length > 0 ? positionals : all.sort().map((name) => `${folder}/${name}`)
const table = []
let failed = 0
for (const file of files) {
  const { rows, problem, output } = await run(file)
  table.push(...rows)
  for (const { attackedWith, result } of rows) console.log(`${attackedWith}\n    ${result}`)
  if (problem === undefined) continue
  failed++
  table.push({ attackedWith: `\`${file.split('/').pop()}\``, result: `**${problem}**` })
  console.log(`FAIL ${file}: ${problem}\n${output}`)
}

const page = `# What the package was attacked with

Written by \`node scripts/attacked.mjs\` from its last run: one row for each attack, told by the attack itself. Other
hostile input (broken checkpoints, pictures, tables, answers, servers' dialects) is part of \`npm test\`.

| attacked with | result |
| --- | --- |
${table.map(({ attackedWith, result }) => `| ${attackedWith} | ${result} |`).join('\n')}
`
if (positionals.length === 0) writeFileSync(join(root, folder, 'README.md'), page)
console.log(`${files.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0

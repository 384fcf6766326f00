#!/usr/bin/env node
// The optional package with the device library of NVIDIA cards, @mm-prm/cuda-linux-x64: builds mm_prm_cuda.so with the
// toolkit from PyPI (the tree of scripts/cuda-compile.mjs, so what that compiled is not compiled again), strips it, lays
// the package out in build/cuda-package and packs it there. Prints the tarball's path.
//
//   node scripts/cuda-package.mjs [--targets '80=80,86,89,ptx;90a=90a']
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildCuda, root, WORK } from './cuda-build.mjs'

const STAGE = join(root, 'build/cuda-package')
const LIBRARY = 'mm_prm_cuda.so'
const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

const MANIFEST = {
  name: '@mm-prm/cuda-linux-x64',
  version,
  description: 'The device library of mm-prm for NVIDIA cards.',
  license,
  os: ['linux'],
  cpu: ['x64'],
  libc: ['glibc'],
  files: [LIBRARY, 'NOTICE'],
}
const README = `# ${MANIFEST.name}

What \`mm-prm\` needs to score and generate on NVIDIA cards: install it beside \`mm-prm\`, of the same version. Cards of
compute capability 8.0 and later; driver R580 or later. \`mm-prm doctor\` says which cards it finds, or why none can be used.
`
const NOTICE = `${LIBRARY} holds the CUDA runtime of NVIDIA (cudart, static), which NVIDIA's license for the CUDA Toolkit lets programs
carry with them (https://docs.nvidia.com/cuda/eula/, attachment A). It loads the machine's own driver.
`

function run(command, args, cwd) {
  const { status, error, stdout } = spawnSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`)
  return stdout
}

const given = process.argv.indexOf('--targets')
buildCuda('mm_prm_cuda', given > 0 ? { MMPRM_CUDA_TARGETS: process.argv[given + 1] } : {})
rmSync(STAGE, { recursive: true, force: true })
mkdirSync(STAGE, { recursive: true })
run('strip', ['--strip-unneeded', '-o', join(STAGE, LIBRARY), join(WORK, LIBRARY)], root)
writeFileSync(join(STAGE, 'package.json'), `${JSON.stringify(MANIFEST, null, 2)}\n`)
writeFileSync(join(STAGE, 'README.md'), README)
writeFileSync(join(STAGE, 'NOTICE'), NOTICE)
copyFileSync(join(root, 'LICENSE'), join(STAGE, 'LICENSE'))
run('npm', ['pack', '--ignore-scripts', '--loglevel=error'], STAGE)
console.log(
  join(
    STAGE,
    readdirSync(STAGE).find((name) => name.endsWith('.tgz')),
  ),
)

// The tree in which nvcc from PyPI compiles: one for judging what came out and for packing it.
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..')
export const TOOLKIT = join(root, 'build/cuda-toolkit')
export const WORK = join(root, 'build/cuda')
// A compiler of kernels takes a gigabyte and a core for a minute.
const MAX_COMPILERS = 8

function run(command, args, quiet = false) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 30,
    stdio: ['ignore', quiet ? 'pipe' : 2, quiet ? 'pipe' : 2],
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}\n${stdout ?? ''}${stderr ?? ''}`)
}

/** Builds a target of CMakeLists.txt with nvcc; what the compiler says stays beside each object (scripts/nvcc-kept.sh). */
export function buildCuda(target, more = {}) {
  run('bash', ['scripts/cuda-toolkit.sh'])
  const definitions = {
    CMAKE_BUILD_TYPE: 'Release',
    MMPRM_CUDA: 'ON',
    CMAKE_CUDA_COMPILER: join(TOOLKIT, 'bin/nvcc'),
    CMAKE_CUDA_COMPILER_LAUNCHER: join(root, 'scripts/nvcc-kept.sh'),
    MMPRM_TESTS_DIR: join(WORK, 'tests'),
    ...more,
  }
  run('cmake', ['-S', root, '-B', WORK, ...Object.entries(definitions).map(([k, v]) => `-D${k}=${v}`)], true)
  run('cmake', ['--build', WORK, '--target', target, '--parallel', String(Math.min(MAX_COMPILERS, availableParallelism()))])
}

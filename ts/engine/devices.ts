/** Devices beside the CPU: where their libraries are looked for, and which cards there are. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { EngineError } from '../contracts/errors.ts'
import { type NativeDevice, nativePath, PACKAGE_ROOT } from './native.ts'

const require = createRequire(import.meta.url)
const PROBE_MILLISECONDS = 60_000
const CUDA_PACKAGE = `@mm-prm/cuda-${process.platform}-${process.arch}`
const CUDA_LIBRARY = 'mm_prm_cuda.so'
// Made by the tests of the repository; the package has none.
const EMULATED_LIBRARY = join(PACKAGE_ROOT, 'build/tests/mm_prm_cuda_emulated.so')

/** Where the library of cards is looked for: beside the addon, as the repository builds it, then in its package. */
function cudaLibraries(): string[] {
  const beside = join(dirname(nativePath()), CUDA_LIBRARY)
  try {
    return [beside, require.resolve(`${CUDA_PACKAGE}/${CUDA_LIBRARY}`)]
  } catch {
    return [beside]
  }
}

/**
 * The library that holds a device, once it is known to load; empty for the CPU, and for `auto` where there is no card.
 * @throws EngineError NO_DEVICE with the reason where no card can be used, or an emulated one was not built
 */
export function deviceLibrary(device: string): string {
  if (device === 'cpu') return ''
  if (device === 'emulated') {
    if (existsSync(EMULATED_LIBRARY)) return EMULATED_LIBRARY
    throw new EngineError(
      'ERR_ENGINE_NO_DEVICE',
      `there is no ${EMULATED_LIBRARY}: only tests of the repository build an emulated device`,
    )
  }
  const { devices, library, reason, loads } = probe()
  if (devices.length > 0 || (device === 'auto' && loads)) return library ?? ''
  if (device === 'auto') return ''
  throw new EngineError('ERR_ENGINE_NO_DEVICE', `device "${device}" cannot be used: ${reason}`)
}

/** The cards of this machine, or why none can be used. */
export interface Cards {
  devices: NativeDevice[]
  library: string | null
  reason: string | null
}

/** The cards of this machine. Throws as loadNative does. */
export function findCards(): Cards {
  const { devices, library, reason } = probe()
  return { devices, library, reason }
}

let probed: (Cards & { loads: boolean }) | undefined

/**
 * Asks the library of cards, once, in a process of its own: a driver that ends the process when it is first loaded then
 * ends that one. `loads`: the library did not, whatever it found.
 */
function probe(): Cards & { loads: boolean } {
  probed ??= probeLibrary(cudaLibraries().find((path) => existsSync(path)))
  return probed
}

function probeLibrary(library: string | undefined): Cards & { loads: boolean } {
  if (library === undefined) {
    const reason = `${CUDA_PACKAGE} is not installed (looked for ${cudaLibraries().join(', ')}); "cpu" needs none`
    return { devices: [], library: null, reason, loads: false }
  }
  const script = `const native = require(${JSON.stringify(nativePath())})
    native.setErrorClass(class extends Error { constructor(code, message) { super(message) } })
    try { process.stdout.write(JSON.stringify({ devices: native.listDevices(${JSON.stringify(library)}) })) }
    catch (error) { process.stdout.write(JSON.stringify({ reason: error.message })) }`
  const { stdout, status, signal } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    timeout: PROBE_MILLISECONDS,
  })
  if (status !== 0) {
    const reason = `loading ${library} ended its process (${signal ?? `exit code ${status}`})`
    return { devices: [], library, reason, loads: false }
  }
  const { devices = [], reason = null } = JSON.parse(stdout) as { devices?: NativeDevice[]; reason?: string }
  return { devices, library, reason, loads: true }
}

/**
 * The peers of a benchmark, each in a process of its own: llama.cpp through llama-cpp-python, and node-llama-cpp. They
 * are no dependencies: three environment variables say where they are, and what is missing is named and skipped.
 *
 *   MM_PRM_PEER_PYTHON    a python with llama-cpp-python
 *   MM_PRM_PEER_MODULES   a node_modules folder with node-llama-cpp
 *   MM_PRM_PEER_MODELS    a folder with SHAPE.gguf, made by bench/peer/to_gguf.py from the checkpoints measured
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

export interface Peer {
  language: 'C++' | 'JS'
  dtype: 'bf16' | 'q8_0' | 'q4_0'
}

export interface PeerRun {
  peer: string
  /** Of each run, sorted. */
  seconds: number[]
  /** Tokens per second. */
  median: number
  /** Scoring: the tokens of the prompt and all candidates. */
  uniqueTokens?: number
  /** C++, generating: from a new prompt to its first token. */
  firstTokenSeconds?: number
}

export const PEERS: readonly Peer[] = [
  { language: 'C++', dtype: 'bf16' },
  { language: 'C++', dtype: 'q8_0' },
  { language: 'C++', dtype: 'q4_0' },
  { language: 'JS', dtype: 'bf16' },
]

const skipped = new Set<string>()
function skip(reason: string): undefined {
  if (!skipped.has(reason)) console.log(`peer skipped: ${reason}`)
  skipped.add(reason)
}

/** What one peer makes of `task`; nothing where it is missing. A peer that fails is an error. */
export function runPeer(
  peer: Peer,
  task: 'generate' | 'score',
  shape: string,
  options: Record<string, number>,
): PeerRun | undefined {
  const {
    MM_PRM_PEER_PYTHON: python,
    MM_PRM_PEER_MODULES: modules,
    MM_PRM_PEER_MODELS: models,
  } = process.env as Record<string, string | undefined>
  if (!models) return skip('MM_PRM_PEER_MODELS is not set')
  const model = join(models, `${shape}.gguf`)
  if (!existsSync(model)) return skip(`${model} does not exist`)
  const flags = Object.entries({ threads: availableParallelism(), ...options }).flatMap(([name, n]) => [`--${name}`, `${n}`])
  const folder = join(import.meta.dirname, 'peer')
  if (peer.language === 'C++') {
    if (!python) return skip('llama.cpp: MM_PRM_PEER_PYTHON is not set')
    const args = [join(folder, 'llama_cpp_peer.py'), task, '--model', model, '--dtype', peer.dtype, ...flags]
    return JSON.parse(execFileSync(python, args, { encoding: 'utf8' }))
  }
  if (!modules) return skip('node-llama-cpp: MM_PRM_PEER_MODULES is not set')
  const args = [join(folder, `${task}.mjs`), '--modules', modules, '--model', model, ...flags]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}

/** What the environment says of hub and cache, in the words of the Python library. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

type Env = Readonly<Record<string, string | undefined>>

export interface HubSettings {
  /** URL without a slash at its end. */
  endpoint: string
  /** Folder of the cache. */
  cache: string
  token: string | undefined
  offline: boolean
  /** Whether large files may come by the xet protocol. */
  xet: boolean
  /** For an answer to begin, and for its next bytes. */
  timeoutMs: number
}

const DEFAULT_ENDPOINT = 'https://huggingface.co'
const DEFAULT_TIMEOUT_SECONDS = 10

const isOn = (value: string | undefined) => /^(1|on|yes|true)$/i.test(value ?? '')
const expand = (path: string) => resolve(path.replace(/^~(?=\/|$)/, homedir()))

function homeOf(env: Env): string {
  return expand(env['HF_HOME'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'huggingface'))
}

function tokenOf(env: Env): string | undefined {
  if (isOn(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'])) return undefined
  const given = (env['HF_TOKEN'] || env['HUGGING_FACE_HUB_TOKEN'])?.trim()
  if (given) return given
  try {
    return readFileSync(expand(env['HF_TOKEN_PATH'] || join(homeOf(env), 'token')), 'utf8').trim() || undefined
  } catch {
    return undefined // nobody has logged in here
  }
}

export function hubSettings(env: Env = process.env): HubSettings {
  const seconds = Number(env['HF_HUB_DOWNLOAD_TIMEOUT'] || DEFAULT_TIMEOUT_SECONDS)
  return {
    endpoint: (env['HF_ENDPOINT'] || DEFAULT_ENDPOINT).replace(/\/+$/, ''),
    cache: expand(env['HF_HUB_CACHE'] || env['HUGGINGFACE_HUB_CACHE'] || join(homeOf(env), 'hub')),
    token: tokenOf(env),
    offline: isOn(env['HF_HUB_OFFLINE']) || isOn(env['TRANSFORMERS_OFFLINE']),
    xet: !isOn(env['HF_HUB_DISABLE_XET']),
    timeoutMs: (seconds > 0 ? seconds : DEFAULT_TIMEOUT_SECONDS) * 1000,
  }
}

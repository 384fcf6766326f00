/** A run's identity: its canonical text, its hash, and what differs between two of them. */
import { createHash } from 'node:crypto'
import type { RunIdentity } from '../contracts/run-store.ts'
import type { Database } from './driver.ts'

/** JSON with sorted keys: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  )
}

/** 16 hexadecimal digits that name a run's identity. */
export function runId(identity: RunIdentity): string {
  return createHash('sha256').update(canonicalJson(identity)).digest('hex').slice(0, 16)
}

/** `key: stored → wanted` for every leaf that differs. */
export function differences(stored: unknown, wanted: unknown, path = ''): string[] {
  if (canonicalJson(stored ?? null) === canonicalJson(wanted ?? null)) return []
  if (isPlain(stored) && isPlain(wanted)) {
    const keys = [...new Set([...Object.keys(stored), ...Object.keys(wanted)])].sort()
    return keys.flatMap((key) => differences(stored[key], wanted[key], path ? `${path}.${key}` : key))
  }
  return [`${path}: ${JSON.stringify(stored ?? null)} → ${JSON.stringify(wanted ?? null)}`]
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What the file says of its run. @throws Error where it is not what was written */
export function readIdentity(db: Database, text: string): RunIdentity {
  const identity = JSON.parse(text) as RunIdentity
  const id = db.prepare("SELECT value FROM run WHERE key = 'id'").get()?.['value']
  if (id !== undefined && id !== runId(identity)) throw new Error('its identity is not as it was written')
  return identity
}

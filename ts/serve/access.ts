/** Who is let in: keys, and pages of other origins. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { HttpFault } from './faults.ts'

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Whether a request's `authorization` holds one of the keys. Takes as long for a wrong key as for a right one. */
export function keyChecker(keys: readonly string[]): (authorization: string | undefined) => void {
  const known = keys.map(digest)
  return (authorization) => {
    if (known.length === 0) return
    const given = digest(/^Bearer +(.+)$/i.exec(authorization ?? '')?.[1]?.trim() ?? '')
    // WHY no `some`: it would end at the first that fits.
    const fits = known.reduce((n, key) => n + Number(timingSafeEqual(key, given)), 0)
    if (fits === 0) throw new HttpFault(401, 'a key is needed: authorization: Bearer KEY', { 'www-authenticate': 'Bearer' })
  }
}

/**
 * What a browser is told about a page of this origin; nothing where it may not read our answers.
 * @param asked headers that its request will have: clients add some of their own, and none opens anything here
 */
export function corsHeaders(
  allowed: readonly string[],
  origin: string | undefined,
  asked = 'authorization, content-type',
): Record<string, string> {
  if (allowed.length === 0) return {}
  const vary = 'Origin, Access-Control-Request-Headers'
  if (origin === undefined || !(allowed.includes('*') || allowed.includes(origin))) return { vary }
  return {
    'access-control-allow-origin': allowed.includes('*') ? '*' : origin,
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': asked,
    'access-control-expose-headers': 'retry-after',
    'access-control-max-age': '600',
    vary,
  }
}

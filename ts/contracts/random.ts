/** Seeded pseudo-random numbers for sampling data and bootstrap: sfc32, the same sequence everywhere. */

/** FNV-1a with a final avalanche: 32 well-mixed bits of a text. */
export function hash32(text: string, salt = 0): number {
  let h = (0x811c9dc5 ^ salt) >>> 0
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Uniform numbers in [0, 1) with 32 bits each, determined by `seed` (any text or number). */
export function seededRandom(seed: string | number): () => number {
  const text = String(seed)
  let [a, b, c, counter] = [hash32(text, 1), hash32(text, 2), hash32(text, 3), 1]
  const next = () => {
    const t = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + t) | 0
    return (t >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 12; i++) next()
  return next
}

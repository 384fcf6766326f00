/** Edit distance between two short names (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitute, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}

/** ` (did you mean "x"?)` for the nearest known name, or the list of all of them when none is near. */
export function suggest(name: string, known: readonly string[]): string {
  const ranked = known.map((k) => ({ k, d: distance(name.toLowerCase(), k.toLowerCase()) })).sort((a, b) => a.d - b.d)
  const best = ranked[0]
  if (best && best.d <= Math.max(2, Math.floor(best.k.length / 3))) return ` (did you mean "${best.k}"?)`
  return `; known: ${known.join(', ')}`
}

/** Markers behind steps that are no special tokens: what a user writes may hold them too. */
import { invalidArgument } from '../../contracts/errors.ts'
import type { Tokenizer } from '../tokenizer/index.ts'

/**
 * Rows of the markers that end the steps, told from a user's own by counting those in the text up to each step's end.
 * @param ends the text up to and including each step's marker
 * @throws EngineError INVALID_ARGUMENT where a step's last token takes the marker in
 */
export function plainMarkers(tokenizer: Tokenizer, ids: readonly number[], marker: number, ends: readonly string[]): number[] {
  const all = ids.flatMap((id, i) => (id === marker ? [i] : []))
  if (all.length === ends.length) return all
  const markers = ends.map((text) => {
    const upToEnd = tokenizer.encodePlain(text).filter((id) => id === marker).length
    return all[upToEnd - 1] ?? -1
  })
  const lost = markers.findIndex((row, i) => row <= (markers[i - 1] ?? -1))
  if (lost >= 0) throw invalidArgument(`step ${lost + 1} swallows the marker behind it`)
  return markers
}

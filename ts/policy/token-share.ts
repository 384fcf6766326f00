/**
 * A server counts tokens once per request. The samples of a request share its count by the length of their texts: an
 * estimate for each of them, exact for their sum, which is what budgets and summaries add up.
 */

/** Whole numbers that add up to `total`; in equal shares where all texts are empty. */
export function shareTokens(total: number, texts: readonly string[]): number[] {
  const length = texts.join('').length
  let before = 0
  let given = 0
  return texts.map((text, i) => {
    before += text.length
    const upToHere = Math.round(total * (length > 0 ? before / length : (i + 1) / texts.length))
    const share = upToHere - given
    given = upToHere
    return share
  })
}

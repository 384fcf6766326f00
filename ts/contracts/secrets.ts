/** Keys and passwords, kept out of every text that leaves the place which holds them. */
export const HIDDEN = '***'
/** Anything shorter may be part of a word by chance. */
const UNMISTAKABLE = 8

/** A secret as it may come back: as it is, in a URL, in JSON. */
function spellings(secret: string): string[] {
  return [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]
}

function pattern(text: string): string {
  const literal = text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
  return text.length >= UNMISTAKABLE ? literal : `(?<![\\p{L}\\p{N}])${literal}(?![\\p{L}\\p{N}])`
}

/** Takes secrets out of a text; short ones only where they stand alone. */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const all = [...new Set(secrets.filter((secret) => secret !== '').flatMap(spellings))]
  if (all.length === 0) return (text) => text
  const any = new RegExp(
    all
      .sort((a, b) => b.length - a.length)
      .map(pattern)
      .join('|'),
    'gu',
  )
  return (text) => text.replace(any, HIDDEN)
}

/** Takes `user:password@` out of the URLs of a text, and what a query calls a password. */
export function withoutUserinfo(text: string): string {
  return text
    .replace(/:\/\/[^\s/?#"'<>]*@/g, `://${HIDDEN}@`)
    .replace(/([?&](?:ssl)?password=)[^\s&#"'<>]+?(?=:?(?:[\s&#"'<>]|$))/gi, `$1${HIDDEN}`)
}

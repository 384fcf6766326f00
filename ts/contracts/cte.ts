/** A query cut at its common table expressions: each is a step, and so is the statement behind them. */

const FENCED = /```(?:sql|sqlite)?[ \t]*\n([\s\S]*?)(?:```|$)/i
/** What is no code at all: text in quotes, names in quotes, comments. */
const OPAQUE = /'(?:[^']|'')*'?|"(?:[^"]|"")*"?|`[^`]*`?|\[[^\]]*\]?|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y

/** The query of a text: what its first block of code holds, else the text itself. */
export const queryOf = (text: string): string => (FENCED.exec(text)?.[1] ?? text).trim()

/** Where the outermost brackets of a query close, and its commas outside of brackets. */
function marksOf(query: string): { at: number; mark: ')' | ',' }[] {
  const marks: { at: number; mark: ')' | ',' }[] = []
  let depth = 0
  for (let at = 0; at < query.length; at++) {
    OPAQUE.lastIndex = at
    const opaque = OPAQUE.exec(query)
    if (opaque) {
      at += opaque[0].length - 1
      continue
    }
    const char = query[at]
    if (char === '(') depth++
    else if (char === ')') {
      if (--depth === 0) marks.push({ at, mark: ')' })
    } else if (char === ',' && depth === 0) marks.push({ at, mark: ',' })
  }
  return marks
}

/**
 * `WITH a AS (…),`, `b AS (…)`, `SELECT …`: joined by line breaks they are the query. One without table expressions is one step;
 * none of an empty text.
 */
export function cutQuery(text: string): string[] {
  const query = queryOf(text)
  if (!/^with\b/i.test(query)) return query === '' ? [] : [query]
  const steps: string[] = []
  let from = 0
  const push = (to: number) => {
    steps.push(query.slice(from, to).trim())
    from = to
  }
  for (const { at, mark } of marksOf(query)) {
    const before = query.slice(from, at + 1)
    // WHY a look back: `a(x, y) AS (…)` closes a bracket before its table begins.
    if (mark === ',' && /\)\s*,$/.test(before)) push(at + 1)
    else if (mark === ')' && /^\s*(?:select|values|insert|update|delete|replace)\b/i.test(query.slice(at + 1))) {
      push(at + 1)
      break
    }
  }
  const rest = query.slice(from).trim()
  return rest === '' ? steps : [...steps, rest]
}

/** Name of the table that a step defines; undefined for one that defines none. */
export function tableOf(step: string): string | undefined {
  return /^(?:with\s+(?:recursive\s+)?)?("(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\]|\w+)\s*(?:\([^()]*\)\s*)?as\s*(?:(?:not\s+)?materialized\s*)?\(/i.exec(
    step,
  )?.[1]
}

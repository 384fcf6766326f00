/** Nested plain objects as aligned `key  value` rows; nested keys are indented under their name. */
export function formatRows(object: object, indent = 0): string {
  const entries = Object.entries(object)
  const width = Math.max(0, ...entries.map(([key]) => key.length))
  const pad = ' '.repeat(indent)
  return entries
    .map(([key, value]) => {
      if (Array.isArray(value)) {
        return value.length > 0 && typeof value[0] === 'object'
          ? `${pad}${key}\n${value.map((v) => formatRows(v, indent + 2)).join('')}`
          : `${pad}${key.padEnd(width)}  ${value.join(', ') || 'none'}\n`
      }
      if (typeof value === 'object' && value !== null) return `${pad}${key}\n${formatRows(value, indent + 2)}`
      return `${pad}${key.padEnd(width)}  ${typeof value === 'number' ? value.toLocaleString('en-US') : String(value ?? 'none')}\n`
    })
    .join('')
}

/** Rows of cells as aligned columns: the first to the left, the others to the right. */
export function formatColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  return `${rows.map(line).join('\n')}\n`
}

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

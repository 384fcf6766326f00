/** A line now and then on standard error, with the time since the start. */
const start = performance.now()
let spoken = Number.NEGATIVE_INFINITY

export function say(text: string, everySeconds = 0): void {
  const now = performance.now()
  if (now - spoken < 1000 * everySeconds) return
  spoken = now
  process.stderr.write(`${((now - start) / 60_000).toFixed(1).padStart(6)} min  ${text}\n`)
}

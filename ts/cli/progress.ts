/** A progress line on standard error with rate and time left: rewritten in place on a terminal, sparse in logs. */

const TERMINAL_INTERVAL_MS = 100
const LOG_INTERVAL_MS = 5000

export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export class Progress {
  #label: string
  #start = performance.now()
  #next = 0
  #open = false

  constructor(label: string) {
    this.#label = label
  }

  /** `fraction` of the work that is done, when known; `text` says it in the work's own units. */
  update(text: string, fraction?: number): void {
    const now = performance.now()
    if (now < this.#next) return
    this.#next = now + (process.stderr.isTTY ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS)
    const seconds = (now - this.#start) / 1000
    const left = fraction && fraction > 0.01 ? `, ${formatDuration((seconds * (1 - fraction)) / fraction)} left` : ''
    const percent = fraction === undefined ? '' : ` ${Math.floor(fraction * 100)} %`
    this.#write(`${this.#label}${percent}  ${text}${left}`)
  }

  /** The last word; always shown. */
  finish(text: string): void {
    this.#write(`${this.#label}  ${text}, ${formatDuration((performance.now() - this.#start) / 1000)}`)
    if (this.#open) process.stderr.write('\n')
    this.#open = false
  }

  #write(line: string): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`\r\x1b[2K${line}`)
      this.#open = true
    } else {
      process.stderr.write(`${line}\n`)
    }
  }
}

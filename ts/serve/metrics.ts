/** What the server counts, in Prometheus' text format. */
import type { EngineStats } from '../engine/engine.ts'

const BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]

class Histogram {
  readonly #counts = new Array<number>(BUCKETS.length + 1).fill(0)
  #sum = 0

  observe(seconds: number): void {
    const found = BUCKETS.findIndex((most) => seconds <= most)
    const at = found < 0 ? BUCKETS.length : found
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sum += seconds
  }

  *lines(name: string, labels: string): Generator<string> {
    let below = 0
    for (const [i, most] of [...BUCKETS, '+Inf'].entries()) {
      below += this.#counts[i] ?? 0
      yield `${name}_bucket{${labels}${labels && ','}le="${most}"} ${below}`
    }
    yield `${name}_sum${labels && `{${labels}}`} ${this.#sum}`
    yield `${name}_count${labels && `{${labels}}`} ${below}`
  }
}

/** Of the engines that are open, by the part they play. */
type Engines = Readonly<Record<string, { stats(): EngineStats }>>

interface Gauge {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  of(stats: EngineStats): number
}

const OF_ENGINES: readonly Gauge[] = [
  { name: 'decoded_tokens_total', type: 'counter', help: 'Tokens written', of: (s) => s.decodedTokens },
  { name: 'prefilled_tokens_total', type: 'counter', help: 'Prompt tokens computed', of: (s) => s.prefilledTokens },
  {
    name: 'reused_tokens_total',
    type: 'counter',
    help: 'Prompt tokens found in the cache (cache hits)',
    of: (s) => s.reusedTokens,
  },
  { name: 'engine_requests_running', type: 'gauge', help: 'Requests in the batch', of: (s) => s.requestsRunning },
  {
    name: 'engine_requests_waiting',
    type: 'gauge',
    help: 'Requests in the queue',
    of: (s) => s.requestsWaiting + s.callsWaiting,
  },
  { name: 'samples_running', type: 'gauge', help: 'Samples being written', of: (s) => s.samplesRunning },
  { name: 'kv_pages', type: 'gauge', help: 'Pages for keys and values', of: (s) => s.pages },
  { name: 'kv_pages_used', type: 'gauge', help: 'Of these in use', of: (s) => s.usedPages },
  { name: 'kv_pages_cached', type: 'gauge', help: 'Of these kept for reuse', of: (s) => s.cachedPages },
  {
    name: 'kv_usage_ratio',
    type: 'gauge',
    help: 'Share of the pages in use',
    of: (s) => (s.pages > 0 ? s.usedPages / s.pages : 0),
  },
]

export class Metrics {
  readonly #requests = new Map<string, number>()
  readonly #latency = new Map<string, Histogram>()
  readonly #firstToken = new Histogram()
  readonly #tokens = { prompt: 0, completion: 0 }

  /** @param route as it is declared, never as a client spelt it: names are few */
  answered(route: string, status: number, seconds: number): void {
    const key = `route="${route}",status="${status}"`
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1)
    const histogram = this.#latency.get(route) ?? new Histogram()
    this.#latency.set(route, histogram)
    histogram.observe(seconds)
  }

  firstToken(seconds: number): void {
    this.#firstToken.observe(seconds)
  }

  used(promptTokens: number, completionTokens: number): void {
    this.#tokens.prompt += promptTokens
    this.#tokens.completion += completionTokens
  }

  text(engines: Engines, requestsNow: number): string {
    const lines: string[] = []
    const declare = (name: string, type: string, help: string) =>
      lines.push(`# HELP mm_prm_${name} ${help}`, `# TYPE mm_prm_${name} ${type}`)
    declare('requests_total', 'counter', 'Requests answered')
    for (const [labels, n] of this.#requests) lines.push(`mm_prm_requests_total{${labels}} ${n}`)
    declare('requests_in_flight', 'gauge', 'Requests being worked on')
    lines.push(`mm_prm_requests_in_flight ${requestsNow}`)
    declare('request_seconds', 'histogram', 'From the first byte of a request to the last of its answer')
    for (const [route, histogram] of this.#latency) lines.push(...histogram.lines('mm_prm_request_seconds', `route="${route}"`))
    declare('first_token_seconds', 'histogram', 'Until the first text of a stream')
    lines.push(...this.#firstToken.lines('mm_prm_first_token_seconds', ''))
    declare('tokens_total', 'counter', 'Tokens of prompts and completions, as answers tell them')
    for (const [kind, n] of Object.entries(this.#tokens)) lines.push(`mm_prm_tokens_total{kind="${kind}"} ${n}`)
    for (const { name, type, help, of } of OF_ENGINES) {
      declare(name, type, help)
      for (const [engine, e] of Object.entries(engines)) lines.push(`mm_prm_${name}{engine="${engine}"} ${of(e.stats())}`)
    }
    return `${lines.join('\n')}\n`
  }
}

/** Runs code that nobody vouches for. Whoever implements it lets nothing of it out but the text that it prints. */

export interface RunLimits {
  /** Of the clock, from when the code begins, and of each process's processor time. */
  readonly seconds: number
  /** Address space of each process. */
  readonly memoryBytes: number
  /** Of what it prints; it ends where that is reached. */
  readonly outputBytes: number
  /** At once, threads included. */
  readonly processes: number
  /** Of all that it writes to its folder. */
  readonly fileBytes: number
}

export interface RunRequest {
  /** Python. */
  readonly code: string
  /** Blocks that were run before: again in the same namespace, what they print and throw left out. */
  readonly before?: readonly string[] | undefined
  /** Files that it may read, as /data/0, /data/1 … */
  readonly files?: readonly string[] | undefined
  readonly limits?: Partial<RunLimits> | undefined
}

export interface RunResult {
  /**
   * `failed`: it threw, or ended with a code; `time` and `output`: it reached that limit; `killed`: by a signal, as of its own or
   * where it reached the limit of processor time.
   */
  readonly outcome: 'ended' | 'failed' | 'time' | 'output' | 'killed'
  /** What it printed, errors included, in order; as far as it came. */
  readonly output: string
}

export interface Runner {
  /** Recorded with a run: what it prints may depend on it. */
  readonly name: string
  /** @throws EngineError POLICY (the sandbox itself did not begin), ABORTED */
  run(request: RunRequest, signal?: AbortSignal): Promise<RunResult>
}

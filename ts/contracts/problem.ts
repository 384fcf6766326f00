/** One question with its known answer: what every command of the data engine starts from. */

/** A path, a data URI, or the encoded bytes (PNG, JPEG, WebP, GIF) themselves. */
export type ProblemImage = string | Uint8Array

export interface Problem {
  /** Unique within a run; named by every error about the problem. */
  readonly id: string
  readonly question: string
  /** The reference answer that a verifier compares with. */
  readonly answer: string
  readonly image?: ProblemImage
  /** The user's own columns, carried along untouched. */
  readonly meta?: Readonly<Record<string, unknown>>
}

/** Long solutions in few parts, for scorers that were trained on few. */

export interface MergedSteps {
  readonly parts: readonly string[]
  /** What belongs to the parts, for each step that went into one. */
  spread<T>(values: readonly T[]): T[]
}

/**
 * At most `most` parts: chunks of ceil(steps / most) neighbouring steps, joined by a blank line, as VisualPRM's Best-of-N has it
 * with 12. Absent: every step for itself.
 */
export function mergedSteps(steps: readonly string[], most?: number): MergedSteps {
  const size = most === undefined ? 1 : Math.max(1, Math.ceil(steps.length / most))
  const count = Math.ceil(steps.length / size)
  return {
    parts: Array.from({ length: count }, (_, i) => steps.slice(i * size, (i + 1) * size).join('\n\n')),
    spread: (values) => (values.length === 0 ? [] : steps.map((_, i) => values[Math.floor(i / size)] as (typeof values)[number])),
  }
}

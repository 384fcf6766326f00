/** How wide a beam is at a depth: one line per schedule (PRM-BAS, arXiv 2504.10222, narrows it as steps accumulate). */

export interface WidthOptions {
  /** Width at depth 0. */
  readonly width: number
  readonly minWidth: number
  /** Linear: beams given up per step. */
  readonly widthSlope: number
  /** Exponential: factor per step. */
  readonly widthDecay: number
  /** Score-spread: beams within this of the best one's value stay. */
  readonly spreadMargin: number
}

/** `values` of the open beams at this depth, best first. */
export type WidthSchedule = (options: WidthOptions, depth: number, values: readonly number[]) => number

const SCHEDULES: Readonly<Record<string, WidthSchedule>> = {
  constant: (o) => o.width,
  linear: (o, depth) => o.width - Math.floor(o.widthSlope * depth),
  exponential: (o, depth) => Math.round(o.width * o.widthDecay ** depth),
  'score-spread': (o, _depth, values) => values.filter((value) => value >= (values[0] as number) - o.spreadMargin).length,
}

export const WIDTH_SCHEDULES = Object.keys(SCHEDULES) as [string, ...string[]]

/** Beams to keep: the schedule's word, between `minWidth` and `width`. */
export function beamWidth(schedule: string, options: WidthOptions, depth: number, values: readonly number[]): number {
  const wanted = (SCHEDULES[schedule] as WidthSchedule)(options, depth, values)
  return Math.min(Math.max(wanted, options.minWidth), options.width)
}

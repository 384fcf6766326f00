/** Searching problems for step labels and candidate solutions. */

export { streamsOf } from '../contracts/streams.ts'
export { findStrategy, STRATEGIES } from './registry.ts'
export { identityOf, runSearch, type SearchProgress, type SearchRun } from './runner.ts'
export { beam, beamOptions } from './strategies/beam.ts'
export { bestOfN, bestOfNOptions } from './strategies/best-of-n.ts'
export { type OmegaOptions, omega, omegaOptions } from './strategies/omega.ts'
export { siblings, siblingsOptions } from './strategies/siblings.ts'
export type { Budget, SearchContext, Strategy } from './strategy.ts'
export { WIDTH_SCHEDULES } from './width.ts'

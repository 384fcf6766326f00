/** From search trees to training data. */
export { type ActiveCounts, type ActiveOptions, type ActiveSources, activeSamples, isKnown, noActiveCounts } from './active.ts'
export {
  type BuildProgress,
  type BuildSources,
  buildDataset,
  type DatasetManifest,
  type DatasetOptions,
  FORMAT_NAMES,
} from './build.ts'
export { LABEL_KINDS, type LabelKind, type LabelOptions } from './labels.ts'
export { type LabelledStep, MARKER, markerLabels, processText, type Sample } from './sample.ts'
export { BALANCE_KEYS, efficiencyScore, splitOf } from './selection.ts'
export { type Traversal, type TraverseOptions, traverse } from './traverse.ts'

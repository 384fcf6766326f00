/** Training of policies and process reward models. */
export { statePath } from './checkpoints.ts'
export { type FileDataset, readDataset } from './data.ts'
export { type Dataset, type Recipe, readRecipe, type TrainOptions, type TrainProgress } from './options.ts'
export { runTraining, type TrainResult } from './run.ts'
export { SCHEDULES, type Schedule, scheduleFactor } from './schedule.ts'

/** Models by their names on a hub: found in the cache that the Python library shares, or fetched into it. */
export { type CachedModel, cachedModels } from './cached.ts'
export { type HubName, parseName } from './name.ts'
export { type Pulled, type PullOptions, type PullProgress, pull, resolveModel } from './pull.ts'

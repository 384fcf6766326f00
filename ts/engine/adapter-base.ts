/** How an adapter's config names the model that it belongs to, so that PEFT finds it from wherever it is called. */
import { resolve, sep } from 'node:path'

const SNAPSHOT = /[\\/]models--([^\\/]+?)--([^\\/]+)[\\/]snapshots[\\/]([0-9a-f]+)[\\/]?$/

/** A model of the hub's cache by its name and commit, which are the same on every machine; any other folder by its whole path. */
export function adapterBase(init: string): { base_model_name_or_path: string; revision?: string } {
  const path = resolve(init)
  const [, organisation, name, revision] = SNAPSHOT.exec(path + sep) ?? []
  if (name === undefined || revision === undefined) return { base_model_name_or_path: path }
  return { base_model_name_or_path: `${organisation}/${name}`, revision }
}

/** `mm-prm inspect MODEL`: what a checkpoint folder holds, without loading its weights. */
import { modelFiles } from '../engine/folder-files.ts'
import { checkModelFolder } from '../engine/model-folder.ts'
import { loadNative } from '../engine/native.ts'
import { type Command, EXIT, readOptions, UsageError } from './command.ts'
import { modelFolder } from './hub-model.ts'
import { formatRows } from './table.ts'

const USAGE = `usage: mm-prm inspect MODEL [--json]

Reads config.json and the headers of the weights: architecture, dimensions, parameters, stored types.`

async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readOptions(argv, { json: { type: 'boolean' } }, 1)
  if (positionals[0] === undefined) throw new UsageError('inspect needs a model folder')
  const folder = await modelFolder(positionals[0])
  modelFiles(folder)
  await checkModelFolder(folder)
  const summary = loadNative().inspectModel(folder)
  process.stdout.write(values.json ? `${JSON.stringify(summary)}\n` : formatRows(summary))
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

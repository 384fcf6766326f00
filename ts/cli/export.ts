/** `mm-prm export`: a checkpoint in the layout of another program. */
import { exportTransformersNative } from '../engine/export-native.ts'
import { type Command, EXIT, oneOf, readOptions, required } from './command.ts'
import { withFolders } from './hub-model.ts'

const USAGE = `usage: mm-prm export --model DIR|NAME --layout transformers-native --out DIR

Writes an InternVL checkpoint of its authors' layout, shipped or trained here, as one that transformers' own classes open
(AutoModelForImageTextToText, AutoProcessor), without remote code. No weight is changed; this package opens both.

  --model DIR|NAME         checkpoint, or its name on a hub
  --layout NAME            transformers-native
  --out DIR                folder to be made`

const OPTIONS = { model: { type: 'string' }, layout: { type: 'string' }, out: { type: 'string' } } as const

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  oneOf(required(values.layout, 'layout'), 'layout', ['transformers-native'])
  const out = required(values.out, 'out')
  const { model } = await withFolders({ model: required(values.model, 'model') })
  await exportTransformersNative({ model, out })
  process.stderr.write(`mm-prm: ${out} opens with transformers' own class\n`)
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

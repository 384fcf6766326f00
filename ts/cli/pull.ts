/** `mm-prm pull`: a model of a hub into the cache. */
import { pull } from '../hub/index.ts'
import { type Command, EXIT, readOptions, UsageError } from './command.ts'
import { downloadProgress, warn } from './hub-model.ts'
import { interruptible, sayStopped } from './interrupt.ts'

const USAGE = `usage: mm-prm pull NAME [--offline] [--json]

Fetches a model into the cache that the Python library shares, as far as it is not there, and prints its folder. NAME is
org/name, or org/name@revision with a branch, a tag or a commit; config, tokenizer and safetensors are fetched. A download
that was stopped goes on where it was; every file's hash is checked. Other commands fetch what they are given a name of.

The environment counts as for the Python library: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH,
HF_HUB_OFFLINE, HF_HUB_DISABLE_XET, HF_HUB_DOWNLOAD_TIMEOUT. With --offline, which every command takes, nothing is fetched.`

async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readOptions(argv, { json: { type: 'boolean' } }, 1)
  const model = positionals[0]
  if (model === undefined) throw new UsageError('pull needs the name of a model, org/name')
  const { onProgress, finish } = downloadProgress(`fetching ${model}`)
  const pulled = await interruptible((signal) => pull({ model, onProgress, onWarning: warn, signal }))
  if (!pulled) return sayStopped()
  finish()
  process.stdout.write(values.json ? `${JSON.stringify(pulled)}\n` : `${pulled.path}\n`)
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

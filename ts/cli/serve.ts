/** `mm-prm serve`: a model, or two, behind an OpenAI-compatible interface. */
import { readFileSync } from 'node:fs'
import { invalidArgument } from '../contracts/errors.ts'
import { isCriticName } from '../critics/index.ts'
import { Engine } from '../engine/engine.ts'
import type { OpenOptions } from '../engine/options.ts'
import { serve } from '../serve/index.ts'
import { type Command, EXIT, numberIn, positiveInteger, readOptions, UsageError } from './command.ts'
import {
  ADAPTER_OPTIONS,
  adapterUsage,
  ENGINE_OPTIONS,
  engineUsage,
  givenScoringOption,
  PRM_ADAPTER_OPTIONS,
  prmAdapterUsage,
  readAdapters,
  readEngineOptions,
  readScoring,
  SCORING_OPTIONS,
  scoringUsage,
  shown,
} from './engine-options.ts'
import { withFolders } from './hub-model.ts'

const MIB = 2 ** 20
const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|::1)$/

const USAGE = `usage: mm-prm serve [--model DIR] [--prm DIR] [options]

Serves a policy, a process reward model, or both: /v1/chat/completions, /v1/completions, /v1/models, step scores at
/v1/score/steps, /pooling and /classify, /health, /metrics, /openapi.json. The first line on standard output is
"listening on http://HOST:PORT". SIGTERM or Ctrl-C: no more requests are taken, those under way end. Pictures are data URIs:
paths and URLs in requests are refused.

  --model DIR|NAME         checkpoint of the policy, or its name on a hub
${adapterUsage(24)}
  --prm DIR|NAME           checkpoint of the process reward model
${prmAdapterUsage(24)}
${scoringUsage(24)}
  --threshold X            steps that score less are flagged (default: what the checkpoint records, if it does)
  --host NAME              address to listen on (default 127.0.0.1: this machine alone)
  --port N                 0 takes a free one (default 8000)
  --api-key-file FILE      keys of clients, one a line; without it everyone who reaches the port is let in
  --cors ORIGIN            whose pages may read answers; may be given more than once
  --max-requests N         worked on at once, waiting ones included; further ones get 429 (default 256)
  --max-body-mb N          of one request (default 32)
  --drain SECONDS          for what is under way at the end (default 60)
${engineUsage(24)}`

const OPTIONS = {
  model: { type: 'string' },
  prm: { type: 'string' },
  ...ADAPTER_OPTIONS,
  ...PRM_ADAPTER_OPTIONS,
  ...SCORING_OPTIONS,
  threshold: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'api-key-file': { type: 'string' },
  cors: { type: 'string', multiple: true },
  'max-requests': { type: 'string' },
  'max-body-mb': { type: 'string' },
  drain: { type: 'string' },
  ...ENGINE_OPTIONS,
} as const

function readKeys(path: string | undefined): string[] {
  if (path === undefined) return []
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw invalidArgument(`--api-key-file ${path}: ${(error as Error).message}`, error)
  }
  const keys = text.split('\n').map((line) => line.trim())
  const given = keys.filter((key) => key !== '')
  // WHY an error: an empty file would let everyone in.
  if (given.length === 0) throw invalidArgument(`--api-key-file ${path}: there is no key in it`)
  return given
}

async function open(options: OpenOptions): Promise<Engine> {
  const folders = await withFolders(options)
  return (await shown(async (onProgress) => ({ engine: await Engine.open({ ...folders, onProgress }) }))).engine
}

/** Resolves when the process is asked to end. */
function asked(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const { model, prm, host = '127.0.0.1', cors = [] } = values
  if (model === undefined && prm === undefined) throw new UsageError('--model DIR or --prm DIR is required')
  const scoring = givenScoringOption(values)
  if (prm === undefined && scoring) throw new UsageError(`--${scoring} is for --prm`)
  if (isCriticName(values.scoring))
    throw new UsageError(`--scoring ${values.scoring}: a judge in words is not served as a scorer: serve it as --model`)
  const port = numberIn(values.port, 'port', { min: 0, max: 65_535, whole: true }) ?? 8000
  const threshold = numberIn(values.threshold, 'threshold', { above: 0, max: 1 })
  const maxRequests = positiveInteger(values['max-requests'], 'max-requests')
  const maxBody = positiveInteger(values['max-body-mb'], 'max-body-mb', 512)
  const drainSeconds = numberIn(values.drain, 'drain', { min: 0, max: 86_400 })
  const apiKeys = readKeys(values['api-key-file'])
  const engine = readEngineOptions(values)
  const end = asked()
  await using policyEngine = model === undefined ? null : await open({ model, ...readAdapters(values.adapter), ...engine })
  await using prmEngine =
    prm === undefined
      ? null
      : await open({ model: prm, ...readAdapters(values['prm-adapter']), ...engine, ...readScoring(values) })
  const server = await serve({
    ...{ host, port, cors, apiKeys },
    ...(policyEngine && { policy: policyEngine }),
    ...(prmEngine && { prm: prmEngine }),
    ...(threshold !== undefined && { threshold }),
    ...(maxRequests && { maxRequests }),
    ...(maxBody && { maxBodyBytes: maxBody * MIB }),
    ...(drainSeconds !== undefined && { drainSeconds }),
    onError: (error) => process.stderr.write(`mm-prm: ${(error as Error).stack ?? String(error)}\n`),
  })
  if (!LOOPBACK.test(host) && apiKeys.length === 0)
    process.stderr.write(`mm-prm: ${host} is reached from other machines, and no key is asked for (--api-key-file)\n`)
  process.stdout.write(`listening on ${server.url}\n`)
  await end
  process.stderr.write('mm-prm: ending: no more requests are taken\n')
  await server.close()
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

/** `mm-prm worker`: works on the runs of a database, beside as many others as there are. */

import { runWork } from '../search/runner.ts'
import { type Command, EXIT, positiveInteger, readOptions } from './command.ts'
import { ADAPTER_OPTIONS, PRM_ADAPTER_OPTIONS, readEngineOptions } from './engine-options.ts'
import { warn } from './hub-model.ts'
import { interruptible } from './interrupt.ts'
import { POLICY_OPTIONS, readAccess } from './policy-options.ts'
import { Progress } from './progress.ts'
import { Rooms } from './rooms.ts'
import { readStore, STORE_OPTIONS, STORE_USAGE } from './store-options.ts'
import { supervise } from './supervise.ts'

const DEFAULT_IN_FLIGHT = 8

const USAGE = `usage: mm-prm worker --store URL --model DIR [options]

Works on the runs of a database until it is stopped; all that decides about results comes from the runs. Runs that it may not
work on, of another model or begun on another class of devices (avx2, avx512 …), are left to others. A worker may come and go
at any time: what it had in hand goes to another. SIGTERM or Ctrl-C: it takes no more, gives back what it has and exits 0.
Exit code ${EXIT.someLinesBad}: it met problems that failed.

${STORE_USAGE}
  --run NAME               this run alone (default: all, in turn)
  --until-done             end when nothing is left
  --model DIR|NAME         where this machine has the policy (default: where the run was submitted)
  --endpoint URL           of the policy's server, for runs with --policy openai; several times: spread over all of them
  --api-key-file FILE      file that holds the server's key
  --concurrency N          requests to each server at once (default 16)
  --rate N                 requests to each server in a second, at most
  --timeout SECONDS        for one answer of the server (default 600)
  --image-root DIR         where this machine has the folder of that name that the run was submitted with
  --scorer, --judge-model, --adapter, --prm-adapter, --reference, --databases PATH
                           where this machine has the scorer, the judge and so on
  --device NAMES           auto, cpu, cuda or cuda:N (default cpu); of several, with commas, each gets a process, which is
                           started again where it crashes
  --isa NAME               instruction set of the CPU (default: the best)
  --threads N              of the CPU (default: one per usable core)
  --in-flight N            problems at once (default ${DEFAULT_IN_FLIGHT})
  --json                   what was done, as one JSON object`

const { endpoint, model, concurrency, rate, timeout, device, isa, threads } = POLICY_OPTIONS
const OPTIONS = {
  ...STORE_OPTIONS,
  ...{ endpoint, model, concurrency, rate, timeout, device, isa, threads, 'api-key-file': POLICY_OPTIONS['api-key-file'] },
  ...ADAPTER_OPTIONS,
  ...PRM_ADAPTER_OPTIONS,
  scorer: { type: 'string' },
  reference: { type: 'string' },
  databases: { type: 'string' },
  'judge-model': { type: 'string' },
  'judge-endpoint': { type: 'string' },
  'image-root': { type: 'string' },
  'until-done': { type: 'boolean' },
  'in-flight': { type: 'string' },
} as const

type Values = ReturnType<typeof readOptions<typeof OPTIONS>>['values']

/** What this command line says of how runs are worked on here. */
function ownValues({ store: _s, run: _r, json: _j, 'until-done': _u, 'in-flight': _i, 'image-root': _root, ...mine }: Values) {
  return Object.fromEntries(Object.entries(mine).filter(([, value]) => value !== undefined))
}

/** `--device X` and `--device=X` left out. */
function withoutDevice(argv: readonly string[]): string[] {
  return argv.filter((arg, i) => !/^--device(?:=|$)/.test(arg) && argv[i - 1] !== '--device')
}

/** WHY before any run is looked at: a slip of this command line is no reason to leave a run to others. */
function checkOwn({ isa, threads, ...values }: Values, devices: readonly string[]): void {
  for (const device of devices) readEngineOptions({ device })
  readEngineOptions({ isa, threads })
  readAccess(values)
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const at = readStore(values)
  const devices = values.device?.split(',') ?? []
  checkOwn(values, devices)
  if (devices.length > 1) return supervise(['worker', ...withoutDevice(argv)], devices)
  const inFlight = positiveInteger(values['in-flight'], 'in-flight') ?? DEFAULT_IN_FLIGHT
  const { PostgresSource } = await import('../store/postgres/index.ts')
  const source = await PostgresSource.open({
    url: at.url,
    untilDone: values['until-done'] ?? false,
    ...(at.run && { run: at.run }),
    ...(values['image-root'] !== undefined && { imageRoot: values['image-root'] }),
    onLeave: (run, why) => warn(`${why.message}; run ${run} is left to other workers`),
  })
  const rooms = new Rooms(source, ownValues(values))
  const progress = new Progress('working')
  let last = { done: 0, failed: 0, rollouts: 0 }
  try {
    await interruptible(async (signal) => {
      signal.addEventListener('abort', () => source.hurry())
      const onProgress = ({ done, failed, rollouts }: typeof last) => {
        last = { done, failed, rollouts }
        progress.update(`${done} problems, ${rollouts} rollouts`)
      }
      await runWork({ source, settingsOf: (lease) => rooms.settingsOf(lease), inFlight, signal, onProgress })
    })
  } finally {
    await rooms.close()
    await source.close()
  }
  progress.finish(`${last.done} problems, ${last.rollouts} rollouts`)
  if (values.json) process.stdout.write(`${JSON.stringify(last)}\n`)
  return last.failed > 0 ? EXIT.someLinesBad : EXIT.ok
}

export const command: Command = { usage: USAGE, run }

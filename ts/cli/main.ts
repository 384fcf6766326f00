#!/usr/bin/env node
/** `mm-prm COMMAND …`: finds the command, maps what it throws to an exit code. Commands load when called. */
import { EngineError } from '../contracts/errors.ts'
import { withoutUserinfo } from '../contracts/secrets.ts'
import { suggest } from '../contracts/suggest.ts'
import { type Command, EXIT, UsageError } from './command.ts'

const COMMANDS: Record<string, { summary: string; load: () => Promise<Command> }> = {
  quickstart: {
    summary: 'the whole loop on the shipped models: search, labels, training, Best-of-16, a page',
    load: async () => (await import('./quickstart.ts')).command,
  },
  generate: {
    summary: 'write completions for questions in a JSONL file',
    load: async () => (await import('./generate.ts')).command,
  },
  score: { summary: 'score the steps of solutions in a JSONL file', load: async () => (await import('./score.ts')).command },
  select: {
    summary: 'choose among scored candidates: Best-of-N, votes, intervals',
    load: async () => (await import('./select.ts')).command,
  },
  verify: { summary: 'whether predicted answers equal gold ones', load: async () => (await import('./verify.ts')).command },
  curate: { summary: 'keep the problems that are fit to be searched', load: async () => (await import('./curate.ts')).command },
  tasks: { summary: 'make Mini-K12 problems with pictures', load: async () => (await import('./tasks.ts')).command },
  search: {
    summary: 'search problems for step labels: OmegaPRM, Best-of-N, beam',
    load: async () => (await import('./search.ts')).command,
  },
  'best-of-n': {
    summary: 'sample solutions, score their steps, choose an answer per problem',
    load: async () => (await import('./best-of-n.ts')).command,
  },
  eval: { summary: 'public benchmarks from files on disk', load: async () => (await import('./eval.ts')).command },
  dataset: { summary: 'turn search trees into training data', load: async () => (await import('./dataset.ts')).command },
  active: {
    summary: 'have a judge label the solutions of which an ensemble is not sure',
    load: async () => (await import('./active.ts')).command,
  },
  teach: {
    summary: 'a teacher’s analyses of labelled steps, as data for judges in words',
    load: async () => (await import('./teach.ts')).command,
  },
  train: { summary: 'train a policy or a process reward model', load: async () => (await import('./train.ts')).command },
  export: { summary: 'a checkpoint in the layout of another program', load: async () => (await import('./export.ts')).command },
  submit: { summary: 'make a run for many machines, in PostgreSQL', load: async () => (await import('./submit.ts')).command },
  worker: { summary: 'work on the runs of a database', load: async () => (await import('./worker.ts')).command },
  status: { summary: 'what the runs of a database have come to', load: async () => (await import('./status.ts')).command },
  pause: { summary: 'let no worker take more of a run', load: async () => (await import('./status.ts')).pause },
  resume: { summary: 'let workers go on with a run', load: async () => (await import('./status.ts')).resume },
  cancel: { summary: 'end a run; what is done is kept', load: async () => (await import('./status.ts')).cancel },
  serve: {
    summary: 'answer clients of OpenAI’s interface, and score steps',
    load: async () => (await import('./serve.ts')).command,
  },
  pull: { summary: 'fetch a model of a hub into the cache', load: async () => (await import('./pull.ts')).command },
  models: { summary: 'what the cache holds', load: async () => (await import('./models.ts')).command },
  inspect: { summary: 'what a checkpoint folder holds', load: async () => (await import('./inspect.ts')).command },
  doctor: { summary: 'what this machine and installation can do', load: async () => (await import('./doctor.ts')).command },
}

function usage(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length))
  const rows = Object.entries(COMMANDS).map(([name, c]) => `  ${name.padEnd(width)}  ${c.summary}`)
  return [
    'usage: mm-prm COMMAND [options]',
    '',
    ...rows,
    '',
    'mm-prm COMMAND --help shows its options. With --offline nothing is fetched.',
    '',
  ].join('\n')
}

const OFFLINE = '--offline'

async function run(argv: readonly string[]): Promise<number> {
  const [name, ...given] = argv
  // WHY the environment: whatever may fetch a model asks there, in this process and in those that it starts.
  if (given.includes(OFFLINE)) process.env['HF_HUB_OFFLINE'] = '1'
  const rest = given.filter((arg) => arg !== OFFLINE)
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(usage())
    return name === undefined ? EXIT.usage : EXIT.ok
  }
  const entry = COMMANDS[name]
  if (!entry) throw new UsageError(`no command "${name}"${suggest(name, Object.keys(COMMANDS))}`)
  const command = await entry.load()
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`${command.usage}\n`)
    return EXIT.ok
  }
  return command.run(rest)
}

// Whoever read the output has gone, as `head` does: nobody to tell, and nothing to go on for.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') process.stderr.write(`mm-prm: cannot write to standard output: ${error.message}\n`)
  process.exit(EXIT.failed)
})
process.stderr.on('error', () => {}) // messages that nobody reads stop no work

function describe(error: unknown): string {
  if (error instanceof UsageError) return error.message
  if (error instanceof EngineError) return `${error.message} [${error.code}]`
  return (error as Error).stack ?? String(error)
}

try {
  process.exitCode = await run(process.argv.slice(2))
} catch (error) {
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.failed
  // An argument that an error quotes may be a URL with a password.
  process.stderr.write(`mm-prm: ${withoutUserinfo(describe(error))}\n`)
}

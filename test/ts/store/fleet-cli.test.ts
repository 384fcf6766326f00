/** submit, worker, status, pause, resume, cancel as processes; dataset, best-of-n and evaluations of what they leave. */
import { type ChildProcess, execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeTasks } from '../../../ts/mini/problems.ts'
import { IN_DOMAIN } from '../../../ts/tasks/index.ts'
import { findNewNode, startPostgres } from '../../helpers/postgres.ts'

const ROOT = join(import.meta.dirname, '../../..')
const [POLICY, PRM] = ['mini-policy', 'mini-prm'].map((name) => join(ROOT, 'models', name)) as [string, string]
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-fleet-'))
const node = findNewNode()
const database = node ? startPostgres() : undefined
const { url = '' } = database ?? {}
const withDatabase = database ? test : test.skip
if (!database) console.log('skipped: PostgreSQL or a Node from 22.12 on is not here')
test.after(() => {
  database?.stop()
  rmSync(scratch, { recursive: true, force: true })
})

const tasks = await makeTasks(scratch, IN_DOMAIN, 'fleet', 6, { part: 'test' })
const FILE = join(scratch, 'problems.jsonl')
writeFileSync(FILE, tasks.map(({ problem }) => `${JSON.stringify({ ...problem, image: problem.image })}\n`).join(''))

interface Ran {
  code: number
  stdout: string
  stderr: string
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ran> } {
  const command = promisify(execFile)(node as string, [join(ROOT, 'dist/cli/main.js'), ...args], {
    timeout: 200_000,
  })
  const ended = command.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error) => ({ code: Number(error.code), stdout: String(error.stdout), stderr: String(error.stderr) }),
  )
  return { child: command.child, ended }
}

const cli = (...args: string[]): Promise<Ran> => start(...args).ended

async function good(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...args)
  assert.is(code, 0, `${args[0]}: ${stderr}`)
  return stdout
}

const SEARCH = [
  '--problems',
  FILE,
  '--model',
  POLICY,
  '--num-rollouts',
  '4',
  '--max-searches',
  '8',
  '--top-k',
  '0',
  '--max-tokens',
  '120',
  '--seed',
  '3',
]
const store = ['--store', url]

withDatabase('two workers leave what a search into a folder leaves: the same data set, byte for byte', async () => {
  const { run } = JSON.parse(await good('submit', ...store, ...SEARCH, '--json'))
  assert.match(run, /^[0-9a-f]{16}$/)
  assert.is(JSON.parse(await good('submit', ...store, ...SEARCH, '--json')).run, run)
  const before = JSON.parse(await good('status', ...store, '--json')).runs
  assert.equal([before[0].run, before[0].status, before[0].problems, before[0].done, before[0].left], [run, 'active', 6, 0, 6])

  const other = await cli('worker', ...store, '--model', PRM, '--until-done')
  assert.is(other.code, 1)
  assert.match(other.stderr, /would search otherwise .*policy\.modelHash/)

  await Promise.all([1, 2].map(() => good('worker', ...store, '--model', POLICY, '--until-done', '--in-flight', '2')))
  const [after] = JSON.parse(await good('status', ...store, '--run', run.slice(0, 6), '--json')).runs
  assert.equal([after.status, after.done, after.left, after.failed], ['done', 6, 0, 0])
  const folder = join(scratch, 'run')
  await good('search', '--out', folder, ...SEARCH)
  const options = ['--min-words', '1', '--positives', 'all', '--format', 'steps,mm-prm']
  const [there, here] = ['there', 'here'].map((name) => join(scratch, name)) as [string, string]
  await good('dataset', '--run', `${url}#${run}`, '--out', there, ...options)
  await good('dataset', '--run', folder, '--out', here, ...options)
  for (const name of ['manifest.json', 'train.steps.jsonl'])
    assert.is(readFileSync(join(there, name), 'utf8'), readFileSync(join(here, name), 'utf8'), name)
})

withDatabase('best-of-n of a run that workers have sampled is that of a folder', async () => {
  const asked = ['--problems', FILE, '--model', POLICY, '--top-k', '0', '--max-tokens', '120', '--seed', '3']
  const run = (await good('submit', ...store, ...asked, '--strategy', 'best-of-n', '--set', 'n=4', '--scorer', PRM)).trim()
  await good('worker', ...store, '--until-done')
  const [there, here] = ['bon-there', 'bon-here'].map((name) => join(scratch, name)) as [string, string]
  await good('best-of-n', '--run', `${url}#${run}`, '--out', there)
  await good('best-of-n', '--out', here, ...asked, '--prm', PRM, '-n', '4')
  assert.is(readFileSync(join(there, 'answers.jsonl'), 'utf8'), readFileSync(join(here, 'answers.jsonl'), 'utf8'))
})

withDatabase('an evaluation whose solutions workers make is the one that is made here', async () => {
  const [there, here] = ['eval-there', 'eval-here'].map((name) => join(scratch, name)) as [string, string]
  const args = ['eval', '--task', 'gsm8k,olympiadbench', '--data', join(ROOT, 'test/golden/eval'), '--limit', '7', '-n', '3']
  args.push('--model', POLICY, '--prm', PRM, '--max-tokens', '48')
  const worker = start('worker', ...store, '--model', POLICY, '--in-flight', '2')
  await good(...args, '--out', there, ...store)
  worker.child.kill('SIGTERM')
  assert.is((await worker.ended).code, 0, 'a worker that is stopped ends well')
  await good(...args, '--out', here)
  const read = (folder: string, name: string) => readFileSync(join(folder, name), 'utf8')
  assert.is(read(there, 'results.json'), read(here, 'results.json'))
  for (const task of ['gsm8k', 'olympiadbench']) {
    const lines = [there, here].map((folder) => read(folder, `${task}/solutions.jsonl`).split('\n').sort())
    assert.equal(lines[0], lines[1], 'texts, tokens and hashes')
  }
  await good(...args, '--out', there, ...store, '--resume') // nothing is missing: nobody is waited for
})

withDatabase('a class of devices that gives other bits is refused, and what would give them is named', async () => {
  const small = ['--num-rollouts', '2', '--max-searches', '1', '--max-tokens', '16', '--seed', '5']
  const run = (await good('submit', ...store, '--problems', FILE, '--model', POLICY, '--top-k', '0', ...small)).trim()
  const status = async () => JSON.parse(await good('status', ...store, '--run', run, '--json')).runs[0]
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query("UPDATE mm_prm.runs SET device_class = 'reference' WHERE run_id = $1", [run])
  await client.end()
  const other = await cli('worker', ...store, '--run', run, '--until-done')
  assert.is(other.code, 1)
  assert.match(other.stderr, /it is worked on by reference, .* gives other bits; --isa reference gives the same/)
  assert.is((await status()).evaluations, 0)
  await good('worker', ...store, '--run', run, '--until-done', '--isa', 'reference')
  assert.equal([(await status()).status, (await status()).deviceClass], ['done', 'reference'])
})

withDatabase('pause, resume, cancel, and what is no run', async () => {
  const run = (await good('submit', ...store, ...SEARCH.slice(0, -1), '4')).trim()
  const state = async () => JSON.parse(await good('status', ...store, '--run', run, '--json')).runs[0].status
  await good('pause', '--run', `${url}#${run}`)
  assert.is(await state(), 'paused')
  await good('resume', ...store, '--run', run)
  assert.is(await state(), 'active')
  await good('cancel', ...store, '--run', run)
  assert.is(await state(), 'cancelled')
  await good('worker', ...store, '--run', run, '--until-done')
  assert.match((await cli('pause', ...store, '--run', run)).stderr, /was cancelled: there is nothing to pause/)
  const again = await cli('submit', ...store, ...SEARCH.slice(0, -1), '4')
  assert.match(again.stderr, new RegExp(`run ${run} was there already and is cancelled: mm-prm resume`))
  assert.match((await cli('worker', ...store, '--device', 'cpu,gpu')).stderr, /--device must be .*"gpu"/)
  assert.match((await cli('worker', ...store, '--threads', 'many')).stderr, /--threads must be/)
  assert.match((await cli('status', ...store, '--run', 'ffff')).stderr, /no run "ffff"/)
  assert.match((await cli('dataset', '--run', url, '--out', scratch)).stderr, /name a run: postgres:\/\/…#RUN/)
  assert.match((await cli('status', '--store', 'runs/a')).stderr, /--store must be a postgres:\/\/ URL/)
})

test.run()

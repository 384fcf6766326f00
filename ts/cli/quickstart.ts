/** `mm-prm quickstart`: the whole loop on the models that the package ships. */
import { existsSync } from 'node:fs'
import { readdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { makeFolder } from '../contracts/folders.ts'
import { readCandidates, readItems, stepAccuracy } from '../mini/candidates.ts'
import { CANDIDATES, type Judged, type LoopResult, learn, makeTestSet, type Stage, workedExample } from '../mini/loop.ts'
import { choiceRows, loopPage, stepRows } from '../mini/page.ts'
import { MINI_SAMPLING } from '../mini/policy.ts'
import type { MiniTask } from '../mini/problems.ts'
import { type Command, EXIT, numberIn, positiveInteger, readOptions, UsageError } from './command.ts'
import { ENGINE_OPTIONS, engineUsage, readEngineOptions } from './engine-options.ts'
import { evaluateFiles } from './eval.ts'
import type { EvalValues } from './eval-options.ts'
import { modelFolder } from './hub-model.ts'
import { sayStopped } from './interrupt.ts'
import { formatDuration, Progress } from './progress.ts'
import { formatColumns } from './table.ts'

const MODELS = join(import.meta.dirname, '../../models')
const RESULT_FILE = 'quickstart.json'
/**
 * MEASURED: search and training take 0.7 s of an AVX2 core per problem, all the rest 55 s. With 256 problems the PRM trained now
 * is right in 74.2 % by mean_odds, with 480 in 76.7 %, where the 95 % intervals are 7.5 wide to either side (2026-11-28).
 */
const SEARCH_PROBLEMS = 256

const USAGE = `usage: mm-prm quickstart [options]

From pictures to better answers in a few minutes: the shipped policy solves problems, search labels its steps, a process
reward model is trained on the labels, and chooses among ${CANDIDATES} candidates, beside the one that is shipped.
Prints accuracies with intervals and a worked example, and writes a page to look at.

  --out DIR              where everything goes (default mm-prm-quickstart; an earlier quickstart there is replaced)
  --seed S               another seed, other problems (default 0)
  --search-problems N    problems that are searched (default ${SEARCH_PROBLEMS})
  --rollout-budget N     rollouts per searched problem (default 64); --rollouts is the same
  --test-problems N      problems that are chosen for (default 120)
  --policy DIR           another policy (default: the shipped mini-policy)
  --prm DIR              another process reward model (default: the shipped mini-prm)
${engineUsage(22)}
  --json                 the result as one JSON object`

const OPTIONS = {
  out: { type: 'string' },
  seed: { type: 'string' },
  'search-problems': { type: 'string' },
  'rollout-budget': { type: 'string' },
  rollouts: { type: 'string' },
  'test-problems': { type: 'string' },
  policy: { type: 'string' },
  prm: { type: 'string' },
  json: { type: 'boolean' },
  ...ENGINE_OPTIONS,
} as const

const LABELS: Record<Stage, string> = { search: 'searching', train: 'training' }

/** One progress line per stage. */
function stages() {
  let open: { stage: Stage; progress: Progress; text: string } | undefined
  const finish = () => {
    open?.progress.finish(open.text)
    open = undefined
  }
  const update = (stage: Stage, text: string, fraction: number) => {
    if (open?.stage !== stage) {
      finish()
      open = { stage, progress: new Progress(LABELS[stage]), text }
    }
    open.text = text
    open.progress.update(text, fraction)
  }
  return { update, finish }
}

/** Makes room for the results. @throws UsageError where something else lies there */
async function makeRoom(out: string): Promise<void> {
  const found = await readdir(out).catch((): string[] => [])
  if (found.length > 0 && !found.includes(RESULT_FILE)) {
    throw new UsageError(`${out} is not empty and holds no quickstart; name another folder with --out`)
  }
  await rm(out, { recursive: true, force: true })
  makeFolder(out)
  await writeFile(join(out, RESULT_FILE), '{}\n') // so that a stopped quickstart is known as one
}

function checkModel(folder: string): string {
  if (!existsSync(join(folder, 'config.json'))) throw new UsageError(`no checkpoint in ${folder}`)
  return folder
}

const BAR_WIDTH = 20

function bar(score: number): string {
  const full = Math.round(score * BAR_WIDTH)
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full)
}

function exampleText({ example }: LoopResult): string {
  if (!example) return ''
  const { question, answer, image } = example.task.problem
  const lines = ['a worked example', `  picture   ${image}`, `  question  ${question}`, `  answer    ${answer}`]
  for (const { steps, scores, isRight, chosen } of example.solutions) {
    lines.push('', `  ${chosen ? 'chosen' : 'not chosen'}, ${isRight ? 'right' : 'wrong'}`)
    steps.forEach((step, i) => {
      lines.push(`  ${bar(scores[i] ?? 0)} ${(scores[i] ?? 0).toFixed(3)}  ${step}`)
    })
  }
  return `${lines.join('\n')}\n`
}

function summary(result: LoopResult, seconds: number) {
  const { labels, manifest, training, judged } = result
  return {
    seconds,
    problems: judged[0]?.results.counts.problems ?? 0,
    search: labels,
    dataset: { samples: manifest.samples, labels: manifest.labels, kinds: manifest.kinds },
    training: { steps: training.steps, loss: training.loss, seconds: training.seconds },
    judged,
  }
}

const TASK = 'minik12'

/** Options of `mm-prm eval` for the problems that are chosen for. */
function evalValues(values: Readonly<Record<string, unknown>>, more: { out: string; model: string; seed: number }): EvalValues {
  const { temperature, topK, topP, repetitionPenalty, maxTokens } = MINI_SAMPLING
  const engine = Object.fromEntries(Object.keys(ENGINE_OPTIONS).map((name) => [name, values[name]]))
  return {
    ...(engine as EvalValues),
    ...{ task: TASK, data: join(more.out, 'test'), out: join(more.out, 'eval'), model: more.model, n: String(CANDIDATES) },
    ...{ seed: String(more.seed), temperature: String(temperature), 'top-k': String(topK), 'top-p': String(topP) },
    ...{ 'repetition-penalty': String(repetitionPenalty), 'max-tokens': String(maxTokens), resume: true },
  }
}

/** What each PRM chooses, and an example of the last one's; the second finds the first one's candidates. undefined: stopped. */
async function evaluatePrms(
  prms: Readonly<Record<string, string>>,
  asked: EvalValues & { out?: string | undefined },
  test: readonly MiniTask[],
): Promise<Pick<LoopResult, 'judged' | 'example'> | undefined> {
  const folder = join(asked.out ?? '', TASK)
  const judged: Judged[] = []
  let example: LoopResult['example']
  for (const [name, prm] of Object.entries(prms)) {
    const written = await evaluateFiles({ ...asked, prm })
    const results = written?.results.tasks[TASK]
    if (!written || results?.kind !== 'answers' || !results.prm) return undefined
    const candidates = await readCandidates(folder, test, CANDIDATES)
    const items = await readItems(folder, results.prm.scorer, candidates)
    judged.push({ name, results: { ...results, prm: results.prm }, steps: stepAccuracy(candidates, items) })
    example = workedExample(candidates, items)
  }
  return { judged, example }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, OPTIONS)
  const start = performance.now()
  const out = resolve(values.out ?? 'mm-prm-quickstart')
  const budget = positiveInteger(values['rollout-budget'], 'rollout-budget')
  const policy = checkModel(await modelFolder(values.policy ?? join(MODELS, 'mini-policy')))
  const prm = checkModel(await modelFolder(values.prm ?? join(MODELS, 'mini-prm')))
  const seed = numberIn(values.seed, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true }) ?? 0
  const searchProblems = positiveInteger(values['search-problems'], 'search-problems') ?? SEARCH_PROBLEMS
  const rollouts = budget ?? positiveInteger(values.rollouts, 'rollouts') ?? 64
  const testProblems = positiveInteger(values['test-problems'], 'test-problems') ?? 120
  const engine = readEngineOptions(values)
  await makeRoom(out)
  const shown = stages()
  const learnt = await learn({ policy, out, seed, searchProblems, rollouts, engine, onProgress: shown.update })
  shown.finish()
  const test = await makeTestSet(join(out, 'test'), seed, testProblems)
  const prms = { 'trained now': learnt.prm, shipped: prm }
  const evaluated = await evaluatePrms(prms, evalValues(values, { out, model: policy, seed }), test)
  if (!evaluated) return sayStopped()
  const result: LoopResult = { ...learnt, ...evaluated }
  const seconds = (performance.now() - start) / 1000
  const pagePath = join(out, 'index.html')
  const note = `seed ${seed}; ${searchProblems} problems searched, ${learnt.manifest.labels.count} labels, ${learnt.training.steps} training steps, ${testProblems} test problems`
  await writeFile(pagePath, await loopPage(result, note))
  await writeFile(join(out, RESULT_FILE), `${JSON.stringify(summary(result, seconds), null, 2)}\n`)
  process.stdout.write(
    values.json ? `${JSON.stringify({ ...summary(result, seconds), page: pagePath })}\n` : told(result, note, pagePath, seconds),
  )
  return EXIT.ok
}

function told(result: LoopResult, note: string, pagePath: string, seconds: number): string {
  return [
    `\n${note}`,
    `accuracy in %, choosing one of ${CANDIDATES}, with 95 % bootstrap intervals\n`,
    formatColumns(choiceRows(result.judged)),
    formatColumns(stepRows(result.judged)),
    exampleText(result),
    `page to look at: ${pagePath}; the table by mm-prm eval: ${join(dirname(pagePath), 'eval')}`,
    `done in ${formatDuration(seconds)}\n`,
  ].join('\n')
}

export const command: Command = { usage: USAGE, run }

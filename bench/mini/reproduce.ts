/**
 * Makes the shipped models again, from random weights to the table, and says how the figures compare with the shipped
 * ones. Goes on where an earlier call was stopped.
 *
 *   npm run reproduce:mini [-- --ship]     --ship: replace models/ and the committed results by what came out
 */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatColumns } from '../../ts/cli/table.ts'
import { writeCards } from './cards.ts'
import { at, FOLDER, ROOT } from './plan.ts'
import { type Judgement, type MiniResults, RESULTS_FILE, type Variant } from './results.ts'
import { measureAll } from './science.ts'
import { findings } from './tables.ts'

const MODELS = join(ROOT, 'models')
/** What a model's folder needs to be opened; state and metrics of its training stay behind. */
const MODEL_FILES = ['config.json', 'generation_config.json', 'preprocessor_config.json', 'tokenizer.json', 'tokenizer_config.json', 'mm-prm.json', 'model.safetensors'] // biome-ignore format: a list

const SHOWN = ['pass@1', 'majority', 'mean', 'mean_odds', 'min', 'oracle']

/** Figure by figure: shipped, now. */
function compare(shipped: MiniResults, now: MiniResults): string[][] {
  const soft = (results: MiniResults) => results.variants.find((v) => v.name === 'soft') as Variant
  const percent = (share: number | undefined) => (share === undefined || !Number.isFinite(share) ? '-' : (100 * share).toFixed(1))
  const value = (judgement: Judgement | undefined, name: string) =>
    percent(judgement?.rows.find((r) => r.name === name)?.estimate.value)
  const rows = [['figure', 'shipped', 'now']]
  for (const judgement of soft(now).judgements) {
    const { policy, set, steps } = judgement
    const old = soft(shipped).judgements.find((j) => j.policy === policy && j.set === set)
    for (const name of SHOWN) rows.push([`${policy}, ${set}: ${name}`, value(old, name), value(judgement, name)])
    rows.push([`${policy}, ${set}: AUC of steps`, percent(old?.steps.auc), percent(steps.auc)])
  }
  return rows
}

async function ship(results: MiniResults): Promise<void> {
  const runs = { policy: at('policy'), prm: at('prm', 'soft') }
  for (const [name, run] of [
    ['mini-policy', runs.policy],
    ['mini-prm', runs.prm],
  ] as const) {
    await mkdir(join(MODELS, name), { recursive: true })
    for (const file of MODEL_FILES) await cp(join(run, file), join(MODELS, name, file))
  }
  await writeFile(RESULTS_FILE, `${JSON.stringify(results, null, 1)}\n`)
  await writeCards(MODELS, runs, results)
  await writeFile(join(ROOT, 'bench/mini/README.md'), findings(results))
}

const { values } = parseArgs({ options: { ship: { type: 'boolean', default: false } } })
process.chdir(ROOT)
await mkdir(FOLDER, { recursive: true })
const shipped = await readFile(RESULTS_FILE, 'utf8').then(
  (text) => JSON.parse(text) as MiniResults,
  () => undefined,
)
const results = await measureAll()
await writeFile(at('results.json'), `${JSON.stringify(results, null, 1)}\n`)
if (shipped) process.stdout.write(formatColumns(compare(shipped, results)))
if (values.ship) await ship(results)

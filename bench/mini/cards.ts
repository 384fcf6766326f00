/** Cards of the shipped models: data, settings, curves, figures and seeds of the run that made them. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { POLICY_FOLDERS } from './plan.ts'
import type { Judgement, MiniResults, Variant } from './results.ts'
import { markdown, readmeTable, samplesOf } from './tables.ts'

interface Metric {
  step: number
  loss?: number
  evalLoss?: number
  evalAccuracy?: number
  learningRate?: number
}

const readMetrics = async (folder: string): Promise<Metric[]> =>
  (await readFile(join(folder, 'metrics.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Metric)

/** The curve as a table of about ten rows: training loss as a mean since the row before, evaluations as they came. */
function curve(metrics: readonly Metric[]): string {
  const evaluations = metrics.filter((m) => m.evalLoss !== undefined)
  const every = Math.max(1, Math.ceil(evaluations.length / 10))
  let from = 0
  const rows = evaluations.flatMap((e, i) => {
    if (i % every !== every - 1 && i !== evaluations.length - 1) return []
    const losses = metrics.filter((m) => m.loss !== undefined && m.step > from && m.step <= e.step).map((m) => m.loss as number)
    from = e.step
    const mean = losses.reduce((a, b) => a + b, 0) / losses.length
    return [[String(e.step), mean.toFixed(4), (e.evalLoss as number).toFixed(4), (100 * (e.evalAccuracy ?? 0)).toFixed(1)]]
  })
  return markdown([['step', 'loss since', 'evaluation loss', 'evaluation accuracy, %'], ...rows])
}

/** Of all trainings, one after the other. */
async function policyCurves({ plan }: MiniResults): Promise<string> {
  const parts = POLICY_FOLDERS.map(async (folder, i) => {
    const samples = (plan.policy.samples[i] as number).toLocaleString('en')
    const title = i === 0 ? `The first ${samples} solutions:` : `${samples} more, with a rate that rises and falls again:`
    return `${title}\n\n${curve(await readMetrics(folder))}`
  })
  return (await Promise.all(parts)).join('\n\n')
}

/** Settings as the checkpoint's own record has them. */
async function settings(folder: string): Promise<string> {
  const { training } = JSON.parse(await readFile(join(folder, 'mm-prm.json'), 'utf8')) as { training: Record<string, unknown> }
  const { skippedLines, machine, fingerprint, ...rest } = training
  return markdown([['setting', 'value'], ...Object.entries(rest).map(([key, value]) => [key, `\`${JSON.stringify(value)}\``])])
}

const HEAD = (title: string, tags: string[]) => `---
license: mit
library_name: mm-prm
tags: [${tags.join(', ')}]
---

# ${title}
`

export async function policyCard(folder: string, results: MiniResults): Promise<string> {
  const soft = results.variants.find((v) => v.name === 'soft') as Variant
  const home = soft.judgements.find((j) => j.policy === 'policy' && j.set === 'in-domain') as Judgement
  const pass = home.rows.find((r) => r.name === 'pass@1')?.estimate.value ?? 0
  return `${HEAD('mini-policy', ['mm-prm', 'mini-k12'])}
A vision-language policy of 4.9 million parameters in the InternVL layout (ViT of 4 layers, decoder of 6), trained from random
weights on Mini-K12 (\`mm-prm tasks\`): pictures of 96 × 96 pixels, solutions in \`<step>\` and \`<answer>\` blocks. It is meant for
trying the whole pipeline on any machine; it knows nothing beyond its six families of problems.

Data: ${samplesOf(results)} written solutions made by seed, each seen once; a set share of them holds the common mistake of their
kind of problem. They are about four fifths of the pictures; on ${results.plan.test.inDomain} problems about the others its pass@1 is ${(100 * pass).toFixed(1)} %.

## Curve

Evaluated on other solutions about pictures of the same four fifths.

${await policyCurves(results)}

## Settings

${await settings(folder)}
`
}

export async function prmCard(folder: string, results: MiniResults): Promise<string> {
  const soft = results.variants.find((v) => v.name === 'soft') as Variant
  const { search } = results
  return `${HEAD('mini-prm', ['mm-prm', 'mini-k12', 'process-reward-model'])}
A process reward model of 4.9 million parameters, trained from [mini-policy](../mini-policy) on soft labels that the policy's
own search made (\`mm-prm search\`, no human work): ${results.plan.search.problems} problems, ${search.default.rollouts.toLocaleString('en')} rollouts, ${soft.samples} paths with ${soft.labels.count} labels,
${(100 * search.default.agree).toFixed(1)} % of which agree with the truth. A score is the probability of \`Yes\` at the \`<prm>\` behind a step.

## Figures

Accuracies in %, with 95 % bootstrap intervals over problems. All comparisons: bench/mini/README.md in the repository.

${readmeTable(results)}

## Curve

${curve(await readMetrics(folder))}

## Settings

${await settings(folder)}
`
}

export async function writeCards(models: string, runs: { policy: string; prm: string }, results: MiniResults): Promise<void> {
  await writeFile(join(models, 'mini-policy', 'README.md'), await policyCard(runs.policy, results))
  await writeFile(join(models, 'mini-prm', 'README.md'), await prmCard(runs.prm, results))
}

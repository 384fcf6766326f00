/** `mm-prm quickstart`: a worked example with its picture, scored on the tiny checkpoint of the golden tests. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { invalidArgument } from '../contracts/errors.ts'
import { Engine } from '../engine/engine.ts'
import { type Command, EXIT, readOptions } from './command.ts'

const USAGE = `usage: mm-prm quickstart [--model DIR] [--json]

Scores two solutions of one picture problem and prints steps, scores and time. Without --model it uses the
repository's tiny test checkpoint, whose weights are random: the machinery is real, the judgement is not.`

const TINY_MODEL = join(import.meta.dirname, '../../test/golden/models/internvl2_5-internlm2')
const EXAMPLE = {
  question: 'In the figure, ∠A = 118° and AB ∥ CD. Find ∠ACD.',
  solutions: [
    ['AB is parallel to CD, so ∠A and ∠ACD are co-interior angles.', '∠A + ∠ACD = 180°.', '∠ACD = 180° - 118° = 62°.'],
    ['AB is parallel to CD, so ∠A and ∠ACD are co-interior angles.', 'Co-interior angles are equal, so ∠ACD = 118°.'],
  ],
}

const BAR_WIDTH = 20

function bar(score: number): string {
  const full = Math.round(score * BAR_WIDTH)
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full)
}

async function run(argv: readonly string[]): Promise<number> {
  const { values } = readOptions(argv, { model: { type: 'string' }, json: { type: 'boolean' } })
  const model = values.model ?? TINY_MODEL
  if (!existsSync(model)) throw invalidArgument(`no model folder ${model}; name one with --model`)
  const image = join(TINY_MODEL, 'image-0.png')
  const opening = performance.now()
  await using engine = await Engine.open({ model })
  const start = performance.now()
  const scores = await engine.scoreSteps({ ...EXAMPLE, image })
  const end = performance.now()
  const { architecture, isa, threads, scoring, weights } = engine.info()
  const times = { openMs: start - opening, scoreMs: end - start }
  if (values.json) {
    process.stdout.write(
      `${JSON.stringify({ model, architecture, scoring, isa, threads, weights, image, ...EXAMPLE, scores, ...times })}\n`,
    )
    return EXIT.ok
  }
  const lines = [
    `model     ${architecture}, ${weights}, scored as ${scoring}`,
    `machine   ${isa}, ${threads} threads`,
    `picture   ${image}`,
  ]
  lines.push(`question  ${EXAMPLE.question}`, '')
  EXAMPLE.solutions.forEach((steps, s) => {
    lines.push(`solution ${s + 1}`)
    steps.forEach((step, i) => {
      const score = scores[s]?.[i] as number
      lines.push(`  ${bar(score)} ${score.toFixed(3)}  ${step}`)
    })
    lines.push('')
  })
  lines.push(`opened in ${times.openMs.toFixed(0)} ms, scored in ${times.scoreMs.toFixed(0)} ms`)
  if (values.model === undefined)
    lines.push('(The weights of this test checkpoint are random: the scores show the machinery, not a judgement.)')
  process.stdout.write(`${lines.join('\n')}\n`)
  return EXIT.ok
}

export const command: Command = { usage: USAGE, run }

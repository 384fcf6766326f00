/**
 * Fresh checkpoints of every family, both ways: what transformers saved opens here with its logits, and what is saved here
 * opens there with ours. For a machine that has transformers: node --import tsx test/fresh/compare.ts [PYTHON]
 * Writes README.md beside it.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Engine } from '../../ts/engine/engine.ts'
import { openTrainable } from '../../ts/engine/trainable.ts'
import { readJson, readTensors, relativeDistance } from '../helpers/golden.ts'

const LARGEST = 1e-4
const HERE = import.meta.dirname
const python = process.argv[2] ?? 'python3'
const run = (...args: string[]) => execFileSync(python, [join(HERE, 'checkpoints.py'), ...args], { encoding: 'utf8' })
const work = mkdtempSync(join(tmpdir(), 'mm-prm-fresh-'))
const TRAINING = {
  task: 'policy',
  template: 'prefill',
  compute: 'f32',
  threads: 2,
  freeze: ['vision'],
  recompute: false,
  seed: 0,
  lossWeight: 'token',
  saveAs: 'full',
} as const

async function logitsOf(model: string, tokens: number[], images: string[]): Promise<Float32Array> {
  await using engine = await Engine.open({ model, weights: 'f32' })
  return (await engine.logits({ tokens, images })).logits
}

/** Saved by our trainer as it was opened; a sentence where the family is not trained. */
async function save(folder: string): Promise<string | undefined> {
  try {
    await using model = await openTrainable({ ...TRAINING, init: folder })
    await model.saveModel(join(folder, 'saved'), { dtype: 'f32', record: {} })
    return undefined
  } catch (error) {
    return (error as Error).message.replace(/^.*?: /, '')
  }
}

try {
  run('make', join(HERE, '../golden/models'), work)
  const opened = new Map<string, number>()
  const unsaved = new Map<string, string>()
  let version = ''
  for (const name of readdirSync(work)) {
    const folder = join(work, name)
    const { ids, images, transformers } = readJson(join(folder, 'expected.json'))
    version = transformers
    const expected = readTensors(join(folder, 'expected.bin')).get('logits')?.data as Float32Array
    opened.set(name, relativeDistance(await logitsOf(folder, ids, images), expected))
    const why = await save(folder)
    if (why === undefined)
      writeFileSync(join(folder, 'ours.json'), JSON.stringify([...(await logitsOf(join(folder, 'saved'), ids, images))]))
    else unsaved.set(name, why)
  }
  const read: Record<string, number> = JSON.parse(run('read', work).trim().split('\n').at(-1) ?? '')
  const cell = (distance: number | undefined, why = '') => (distance === undefined ? why : distance.toExponential(1))
  const rows = [...opened].map(([name, off]) => `| ${name} | ${cell(off)} | ${cell(read[name], unsaved.get(name))} |`)
  const page = `# Fresh checkpoints, both ways

Made by \`node --import tsx test/fresh/compare.ts\` with transformers ${version}: random weights in BF16, other shapes than the golden
ones for the text models; logits of 100 random ids in fp32 (for Qwen-VL with a picture among them), as the distance
‖ours − theirs‖ / ‖theirs‖. At most ${LARGEST} is equal.

| family | saved by transformers, opened here | saved here, opened by transformers |
| --- | --- | --- |
${rows.join('\n')}
`
  writeFileSync(join(HERE, 'README.md'), page)
  console.log(page)
  const wrong = [...opened.values(), ...Object.values(read)].filter((off) => !(off <= LARGEST))
  process.exitCode = wrong.length > 0 ? 1 : 0
} finally {
  rmSync(work, { recursive: true })
}

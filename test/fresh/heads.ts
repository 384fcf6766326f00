/**
 * Reward heads that the trainer saved, opened by transformers' own classes where there is one, else by classes of the published
 * layouts. For a machine that has transformers: node --import tsx test/fresh/heads.ts [PYTHON]; writes HEADS.md.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '../../ts/contracts/random.ts'
import { Engine } from '../../ts/engine/engine.ts'
import type { TrainOptions } from '../../ts/train/index.ts'
import { editJson } from '../helpers/checkpoint-files.ts'
import { GOLDEN_ROOT } from '../helpers/golden.ts'
import { prmRows, tinyCheckpoint, train, writeRows } from '../helpers/training.ts'

const LARGEST = 1e-5
const HERE = import.meta.dirname
const python = process.argv[2] ?? 'python3'
const work = mkdtempSync(join(tmpdir(), 'mm-prm-heads-'))
const ENSEMBLE = { kind: 'ensemble', heads: 4, width: 16 } as const
const TRAINED: Record<string, [golden: string, head: NonNullable<TrainOptions['head']>]> = {
  'Qwen2, value': ['qwen2-tied', 'value'],
  'Qwen2, classes': ['qwen2-tied', 'classes'],
  'Qwen2, two-layer': ['qwen2-tied', 'two-layer'],
  'Qwen2, ensemble': ['qwen2-tied', ENSEMBLE],
  'Qwen3, classes': ['qwen3', 'classes'],
  'Qwen3, value': ['qwen3', 'value'],
  'Llama, classes': ['llama3', 'classes'],
  'Llama, value': ['llama3', 'value'],
  'Mistral, classes': ['mistral-math-shepherd', 'classes'],
}

async function trained(name: string, golden: string, head: NonNullable<TrainOptions['head']>): Promise<void> {
  const init = await tinyCheckpoint(join(work, 'init', name), { like: join(GOLDEN_ROOT, 'models', golden) })
  // What Skywork's prompts begin with.
  editJson(init, 'tokenizer_config.json', (config) => {
    config.bos_token ??= '<|im_start|>'
  })
  const out = join(work, 'trained', name)
  const data = writeRows(join(work, 'data.jsonl'), prmRows(6))
  await train({ task: 'prm', init, data, out, head, freeze: [], epochs: 4, learningRate: 3e-3 })
  const random = seededRandom(name)
  const ids = Array.from({ length: 60 }, () => 10 + Math.floor(400 * random()))
  await using engine = await Engine.open({ model: out, weights: 'f32' })
  const { logits } = await engine.logits({ tokens: ids })
  writeFileSync(join(out, 'ours.json'), JSON.stringify({ ids, logits: [...logits] }))
}

try {
  for (const [name, [golden, head]] of Object.entries(TRAINED)) await trained(name, golden, head)
  const said = execFileSync(python, [join(HERE, 'heads.py'), work], { encoding: 'utf8', cwd: tmpdir() })
  const { transformers, found } = JSON.parse(said.trim().split('\n').at(-1) ?? '')
  const cells = Object.entries<{ opened: string; off: number }>(found)
  const page = `# Our reward heads elsewhere

Made by \`node --import tsx test/fresh/heads.ts\` with transformers ${transformers}: what \`mm-prm train --head\` saved, opened with every tensor in
its place and none missing. Logits of 60 random ids in fp32 as ‖ours − theirs‖ / ‖theirs‖, at most ${LARGEST}.

| base, head | opened as | off |
| --- | --- | --- |
${cells.map(([name, { opened, off }]) => `| ${name} | ${opened} | ${off.toExponential(1)} |`).join('\n')}
`
  writeFileSync(join(HERE, 'HEADS.md'), page)
  console.log(page)
  const isWrong = cells.length !== Object.keys(TRAINED).length || cells.some(([, { off }]) => !(off <= LARGEST))
  process.exitCode = isWrong ? 1 : 0
} finally {
  rmSync(work, { recursive: true })
}

/**
 * Adapters that the trainer saved, opened by PEFT: over a base in a folder and over one in the hub's cache, which their config
 * names by its hub name. For a machine that has peft: node --import tsx test/fresh/adapters.ts [PYTHON]; writes ADAPTERS.md.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '../../ts/contracts/random.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { GOLDEN_ROOT } from '../helpers/golden.ts'
import { policyRows, prmRows, READING, tinyCheckpoint, train, writeRows } from '../helpers/training.ts'

const LARGEST = 1e-4
const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const HERE = import.meta.dirname
const python = process.argv[2] ?? 'python3'
const work = mkdtempSync(join(tmpdir(), 'mm-prm-adapters-'))
const POLICIES = {
  'Qwen2, tied': 'qwen2-tied',
  Qwen3: 'qwen3',
  Llama: 'llama3',
  'InternVL, Qwen2': 'internvl-hf-qwen2',
  'Qwen2.5-VL': 'qwen2_5_vl',
  'Qwen3-VL': 'qwen3_vl',
}

/** A base as it lies in a folder, or in the hub's cache as `acme/NAME`. */
function placed(source: string, name: string, isHub: boolean): string {
  const repository = join(work, 'hub', `models--acme--${name}`)
  const folder = isHub ? join(repository, 'snapshots', COMMIT) : join(work, 'bases', name)
  cpSync(source, folder, { recursive: true })
  if (isHub) {
    mkdirSync(join(repository, 'refs'), { recursive: true })
    writeFileSync(join(repository, 'refs/main'), COMMIT)
  }
  return folder
}

async function adapt(task: 'policy' | 'prm', init: string, out: string): Promise<void> {
  const data = writeRows(join(work, `${task}.jsonl`), task === 'prm' ? prmRows(6) : policyRows(6))
  const lora = { rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] }
  const freeze = ['vision', 'projector'] as const
  await train({ task, init, data, out, lora, freeze, saveLora: 'adapters', epochs: 4, learningRate: 1e-2 })
  const random = seededRandom(out)
  const ids = Array.from({ length: 60 }, () => 10 + Math.floor(400 * random()))
  await using engine = await Engine.open({ model: init, adapters: [out], weights: 'f32' })
  const { logits } = await engine.logits({ tokens: ids })
  writeFileSync(join(out, 'ours.json'), JSON.stringify({ ids, logits: [...logits] }))
}

try {
  const names: string[] = []
  for (const isHub of [false, true]) {
    const adapters = (name: string) => join(work, 'adapters', `${name}, ${isHub ? 'hub' : 'folder'}`)
    for (const [family, golden] of Object.entries(POLICIES))
      await adapt('policy', placed(join(GOLDEN_ROOT, 'models', golden), golden, isHub), adapters(family))
    // Its vocabulary grows by the marker, whose rows lie beside the adapters.
    const init = placed(await tinyCheckpoint(join(work, `prm-${isHub}`), { like: READING, withMarker: false }), 'prm', isHub)
    await adapt('prm', init, adapters('PRM with a new marker'))
    names.push(...Object.keys(POLICIES), 'PRM with a new marker')
  }
  const env = { ...process.env, HF_HUB_CACHE: join(work, 'hub'), HF_HUB_OFFLINE: '1' }
  const said = execFileSync(python, [join(HERE, 'adapters.py'), work], { encoding: 'utf8', env, cwd: tmpdir() })
  const { peft, transformers, found } = JSON.parse(said.trim().split('\n').at(-1) ?? '')
  const cells = Object.entries<{ base: string; off: number; moved: number }>(found)
  const rows = cells.map(([name, c]) => `| ${name} | ${c.base} | ${c.off.toExponential(1)} | ${c.moved.toExponential(1)} |`)
  const page = `# Our adapters in PEFT

Made by \`node --import tsx test/fresh/adapters.ts\` with peft ${peft} and transformers ${transformers}, offline, from another folder: adapters that
\`mm-prm train\` saved (\`"saveLora": "adapters"\`), opened over the base that their config names. Logits of 60 random ids in fp32 as
‖ours − theirs‖ / ‖theirs‖, at most ${LARGEST}, and how far the adapter moves them from the base's.

| adapter, where its base lies | its config names | off | moved |
| --- | --- | --- | --- |
${rows.join('\n')}
`
  writeFileSync(join(HERE, 'ADAPTERS.md'), page)
  console.log(page)
  const isWrong = cells.length !== names.length || cells.some(([, { off, moved }]) => !(off <= LARGEST && moved > 1e-2))
  process.exitCode = isWrong ? 1 : 0
} finally {
  rmSync(work, { recursive: true })
}

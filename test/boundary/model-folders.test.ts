/** Folders that are no model as they stand: each says what it is and what would help, however it is opened. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { copyCheckpoint, pickCheckpoint, WEIGHTS } from '../helpers/checkpoint-files.ts'
import { startCli } from '../helpers/cli.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-folders-'))
test.after(() => rmSync(work, { recursive: true }))
const MODEL = pickCheckpoint({ sharded: false, vision: false, head: 'vocabulary', file: 'tokenizer.json' })
const REWARD = pickCheckpoint({ sharded: false, head: 'reward' })
const ADAPTER = { base_model_name_or_path: 'OpenGVLab/InternVL2_5-8B', peft_type: 'LORA', r: 8, target_modules: ['wqkv'] }
const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0a'.repeat(32)}\nsize 123456\n`

let folders = 0
/** A copy of a checkpoint with something done to it. */
function broken(change: (folder: string) => void, model = MODEL): string {
  const folder = join(work, `${folders++}`)
  copyCheckpoint(model, folder)
  change(folder)
  return folder
}
const put = (folder: string, name: string, content: string | object) =>
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
const addAdapter = (folder: string) => {
  put(folder, 'adapter_config.json', ADAPTER)
  cpSync(join(folder, WEIGHTS), join(folder, 'adapter_model.safetensors'))
}

const CASES: [name: string, folder: string, says: RegExp][] = [
  ['an adapter alone', broken((f) => { rmSync(f, { recursive: true }); mkdirSync(f); put(f, 'adapter_config.json', ADAPTER) }), /a LoRA adapter for OpenGVLab\/InternVL2_5-8B, and no whole model; open that model with this folder among its adapters/],
  ['an adapter with the config of its model', broken((f) => { addAdapter(f); rmSync(join(f, WEIGHTS)) }), /a LoRA adapter for OpenGVLab\/InternVL2_5-8B, and no whole model; open that model with this folder among its adapters/],
  ['an adapter beside whole weights', broken(addAdapter), /adapter_model\.safetensors beside whole weights is a LoRA adapter for .*keep them in two folders, .* .*--adapter/],
  ['weights that were not fetched', broken((f) => put(f, WEIGHTS, POINTER)), /model\.safetensors: is a Git LFS pointer: .*123456 bytes.*git lfs pull/],
  ['a tokenizer that was not fetched', broken((f) => put(f, 'tokenizer.json', POINTER)), /tokenizer\.json: is a Git LFS pointer/],
] // biome-ignore format: one case per line

for (const [name, folder, says] of CASES) {
  test(`${name} is named by the engine, by inspect and by score`, async () => {
    const error = await Engine.open({ model: folder }).catch((e: unknown) => e)
    assert.instance(error, EngineError)
    assert.match((error as EngineError).code, /^ERR_ENGINE_(INVALID|UNSUPPORTED)_MODEL$/)
    assert.match((error as EngineError).message, says)
    assert.ok((error as EngineError).message.includes(folder))
    const input = join(work, 'in.jsonl')
    writeFileSync(input, '{"id":1,"question":"q","steps":["a"]}\n')
    for (const args of [
      ['inspect', folder],
      ['score', '--model', folder, '--input', input],
    ]) {
      const { code, stdout, stderr } = await startCli(args).ended
      assert.equal([code, stdout], [1, ''])
      assert.match(stderr, says)
    }
  })
}

test('<prm> in the tokenizer alone does not make a language model a PRM; it does with the architecture, or by name', async () => {
  const llama = pickCheckpoint({ architecture: /^LlamaForCausalLM$/ })
  assert.match(readFileSync(join(llama, 'tokenizer.json'), 'utf8'), /"<prm>"/)
  await using plain = await Engine.open({ model: llama, cpu: { threads: 1 } })
  assert.is(plain.info().scoring, null)
  const error = await plain.scoreSteps({ question: 'q', steps: ['a'] }).catch((e: unknown) => e)
  assert.is((error as EngineError).code, 'ERR_ENGINE_UNSUPPORTED_MODEL')
  assert.match((error as Error).message, /LlamaForCausalLM: .*name the scoring family: visualprm, mm-prm/)
  await using internvl = await Engine.open({
    model: pickCheckpoint({ vision: true, scoring: 'recognised' }),
    cpu: { threads: 1 },
  })
  assert.is(internvl.info().scoring, 'mm-prm')
  await using reward = await Engine.open({ model: REWARD, cpu: { threads: 1 } })
  assert.is(reward.info().scoring, 'qwen2.5-math-prm')
})

test.run()

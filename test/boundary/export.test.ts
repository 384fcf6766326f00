/** Checkpoints in the layout of transformers' own class: the same bits in this engine, every tensor in its place. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine } from '../../ts/engine/engine.ts'
import { exportTransformersNative } from '../../ts/engine/export-native.ts'
import { makeTasks } from '../../ts/mini/problems.ts'
import { IN_DOMAIN } from '../../ts/tasks/index.ts'
import { startCli } from '../helpers/cli.ts'

const ROOT = join(import.meta.dirname, '../..')
const [POLICY, PRM] = ['mini-policy', 'mini-prm'].map((name) => join(ROOT, 'models', name)) as [string, string]
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-export-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))
const [task] = await makeTasks(scratch, IN_DOMAIN, 'export', 1, { part: 'test' })
const { question, image } = (task as NonNullable<typeof task>).problem

test('what is exported scores and writes the same bits, pictures included', async () => {
  const prm = join(scratch, 'prm')
  const { code, stderr } = await startCli(['export', '--model', PRM, '--layout', 'transformers-native', '--out', prm]).ended
  assert.is(code, 0, stderr)
  const score = async (model: string) => {
    await using engine = await Engine.open({ model })
    const first = await engine.scoreSteps({ question: 'What is 3 + 4?', steps: ['3 + 4 = 8', '8'] })
    return [first, await engine.scoreSteps({ question, image: image as string, steps: ['Read the chart.', 'So it is 46.'] })]
  }
  assert.equal(await score(prm), await score(PRM))
  const policy = join(scratch, 'policy')
  await exportTransformersNative({ model: POLICY, out: policy })
  const write = async (model: string) => {
    await using engine = await Engine.open({ model })
    const messages = [{ role: 'user' as const, content: `Question: ${question}` }]
    return (await engine.generate({ messages, image: image as string, n: 2, seed: 5, maxTokens: 60 })).map(({ tokens }) => tokens)
  }
  assert.equal(await write(policy), await write(POLICY))
})

test('the names and the config are those of transformers', () => {
  const file = readFileSync(join(scratch, 'prm/model.safetensors'))
  const names = Object.keys(JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE(0))).toString('utf8')))
  for (const name of [
    'lm_head.weight',
    'model.language_model.layers.0.self_attn.q_proj.weight',
    'model.multi_modal_projector.layer_norm.bias',
    'model.vision_tower.embeddings.patch_embeddings.projection.weight',
    'model.vision_tower.encoder.layer.3.attention.v_proj.bias',
    'model.vision_tower.encoder.layer.0.lambda_2',
  ])
    assert.ok(names.includes(name), name)
  assert.ok(names.every((name) => name === 'lm_head.weight' || name.startsWith('model.') || name === '__metadata__'))
  const config = JSON.parse(readFileSync(join(scratch, 'prm/config.json'), 'utf8'))
  assert.equal([config.model_type, config.architectures], ['internvl', ['InternVLForConditionalGeneration']])
  assert.is(config.image_seq_length, 36)
  // What transformers' processor needs of the tokenizer's names and of its own settings: tokens that are there, and no others.
  const json = (name: string) => JSON.parse(readFileSync(join(scratch, 'prm', name), 'utf8'))
  const { added_tokens_decoder, extra_special_tokens, ...tokenizer } = json('tokenizer_config.json')
  const known = Object.values<{ content: string }>(added_tokens_decoder).map(({ content }) => content)
  const named = ['start_image_token', 'end_image_token', 'context_image_token', 'video_token']
  assert.equal(
    named.map((name) => [known.includes(tokenizer[name]), extra_special_tokens[name] === tokenizer[name]]),
    named.map(() => [true, true]),
  )
  assert.is.not(tokenizer.video_token, tokenizer.context_image_token, 'a picture would be taken for a film')
  assert.is(json('processor_config.json').image_seq_length, 36)
})

test('what cannot be exported is refused, and nothing is left behind', async () => {
  const refused = async (model: string, out: string) => {
    const error = await exportTransformersNative({ model, out }).catch((e) => e)
    return `${error.code} ${error.message}`
  }
  assert.match(await refused(join(scratch, 'prm'), join(scratch, 'again')), /UNSUPPORTED_MODEL .*"internvl".*native already/)
  assert.match(await refused(PRM, join(scratch, 'policy')), /INVALID_ARGUMENT .*there is a checkpoint already/)
  const odd = join(scratch, 'odd')
  cpSync(PRM, odd, { recursive: true })
  const path = join(odd, 'model.safetensors')
  const bytes = readFileSync(path)
  const at = bytes.indexOf('vision_model.encoder.layers.0.ls1')
  bytes.write('vision_model.encoder.layers.0.lsX', at)
  writeFileSync(path, bytes)
  assert.match(await refused(odd, join(scratch, 'none')), /INVALID_MODEL .*layers\.0\.lsX: transformers.* no place/)
  assert.not.ok(readdirSync(scratch).includes('none'))
  const unknown = await startCli(['export', '--model', PRM, '--layout', 'gguf', '--out', odd]).ended
  assert.match(unknown.stderr, /--layout/)
})

test.run()

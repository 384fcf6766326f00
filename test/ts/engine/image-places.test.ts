/** Several pictures in one prompt: one mark each, or none; and what a folder's own chat template is told. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { Engine } from '../../../ts/engine/engine.ts'
import { renderChat } from '../../../ts/engine/template/chat.ts'
import { chatPrompt, prmScorePrompt } from '../../../ts/engine/template/internvl.ts'
import { openTokenizer } from '../../../ts/engine/tokenizer/index.ts'
import { pickCheckpoint, picturesOf } from '../../helpers/checkpoint-files.ts'

const CHAT = pickCheckpoint({ vision: true, architecture: /InternVLChatModel/, file: 'vocab.json' })
const THINKING = pickCheckpoint({ vision: false, architecture: /Qwen3ForCausalLM/ })

const picture = (rows: number) => `<img>${'<IMG_CONTEXT>'.repeat(rows)}</img>`

test('pictures stand at their marks, or in numbered lines before the question', async () => {
  const tokenizer = await openTokenizer(CHAT)
  const asked = (question: string, imageRows: number[]) => tokenizer.decode(chatPrompt(tokenizer, { question, imageRows }))
  assert.match(asked('Is <image> like <image>?', [1, 2]), `user\nIs ${picture(1)} like ${picture(2)}?<|im_end|>`)
  assert.match(asked('Same?', [1, 2]), `user\nImage-1: ${picture(1)}\nImage-2: ${picture(2)}\nSame?<|im_end|>`)
  assert.match(asked('Which <image>?', [2]), `user\nWhich ${picture(2)}?<|im_end|>`)
  assert.match(asked('Which <image>?', []), 'user\nWhich <image>?<|im_end|>')
  const scored = prmScorePrompt(tokenizer, { question: 'See <image>.', steps: ['a'], imageRows: [1] })
  assert.match(tokenizer.decode(scored.ids), `assistant\nQuestion: See ${picture(1)}.\nProcess: a<prm>`)
})

test('marks that are not as many as the pictures are refused', async () => {
  const tokenizer = await openTokenizer(CHAT)
  for (const [question, imageRows] of [
    ['<image>', [1, 1]],
    ['<image> <image>', [1]],
  ] as const) {
    try {
      chatPrompt(tokenizer, { question, imageRows })
      assert.unreachable()
    } catch (error) {
      assert.ok(error instanceof EngineError && error.code === 'ERR_ENGINE_INVALID_ARGUMENT')
      assert.match(error.message, /marks <image>, but (one picture was|2 pictures were) given/)
    }
  }
})

test('several pictures are read: their order counts, and image is short for one', async () => {
  const [a = '', b = ''] = picturesOf(CHAT)
  await using engine = await Engine.open({ model: CHAT, weights: 'f32' })
  const score = (more: object) => engine.scoreSteps({ question: 'Same?', steps: ['Yes.'], ...more })
  const both = await score({ images: [a, b] })
  assert.not.equal(await score({ images: [b, a] }), both)
  assert.equal(await score({ images: [a] }), await score({ image: a }))
  assert.equal(await score({ images: [] }), await score({}))
  const refused = (await score({ image: a, images: [b] }).catch((error: Error) => error)) as Error
  assert.match(refused.message, /"image" is short for one of "images"/)
  const [sample] = await engine.generate({ question: 'Is <image> like <image>?', images: [a, b], maxTokens: 3 })
  assert.ok((sample?.tokens.length ?? 0) > 0)
})

test('a template is told its variables, and finds the thoughts of earlier replies', async () => {
  const tokenizer = await openTokenizer(THINKING)
  const user = { role: 'user', content: 'How many </think>?' }
  const open = '<|im_start|>assistant\n'
  const variables = { enable_thinking: false }
  assert.ok(renderChat(tokenizer, [user], true).text.endsWith(`How many </think>?<|im_end|>\n${open}`))
  assert.ok(renderChat(tokenizer, [user], true, { variables }).text.endsWith(`${open}<think>\n\n</think>\n\n`))
  const reply = { role: 'assistant', content: '<think>\nThree?\n</think>\n\nThree.' }
  const { text } = renderChat(tokenizer, [user, reply, { role: 'user', content: 'Why?' }], true)
  assert.match(text, `${open}Three.<|im_end|>`)
  await using engine = await Engine.open({ model: THINKING, weights: 'f32' })
  const prompt = async (more: object) => {
    const [sample] = await engine.generate({ messages: [{ role: 'user', content: 'x' }], maxTokens: 8, ...more })
    return sample?.tokens
  }
  assert.not.equal(await prompt({ templateVariables: variables }), await prompt({}))
})

test.run()

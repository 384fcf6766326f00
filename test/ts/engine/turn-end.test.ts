/** What ends a reply that is learnt: the token that the folder's chat template writes there, which ends what is written too. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { TrainSample } from '../../../ts/contracts/trainer.ts'
import { readCheckpointFolder } from '../../../ts/engine/checkpoint.ts'
import { openTokenizer } from '../../../ts/engine/tokenizer/index.ts'
import { pairRow, policyRow, type RowContext } from '../../../ts/engine/training-rows.ts'
import { copyCheckpoint, editJson, pickCheckpoint } from '../../helpers/checkpoint-files.ts'

/** Its chat template ends turns with <|eot_id|>; its tokenizer has <|im_end|> too. */
const LLAMA = pickCheckpoint({ vision: false, architecture: /^LlamaForCausalLM/, file: 'tokenizer_config.json' })
const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-turn-end-'))
test.after(() => rmSync(scratch, { recursive: true }))

/** A folder whose config names another end than its turns have, as those of base models do. */
function baseFolder(name: string, template: (own: string) => string | undefined): string {
  const folder = join(scratch, name)
  copyCheckpoint(LLAMA, folder)
  rmSync(join(folder, 'generation_config.json'), { force: true })
  editJson(folder, 'tokenizer_config.json', (json) => {
    json.eos_token = '<|end_of_text|>'
    json.chat_template = template(json.chat_template as string)
  })
  return folder
}

const user = { role: 'user', content: 'q?' } as const
const SAMPLE: TrainSample = { id: 's', group: 's', question: 'q?', turns: [user], steps: [], reply: 'Seven.' }

async function endsOf(folder: string, imageRows: readonly number[] = []) {
  const tokenizer = await openTokenizer(folder)
  const context: RowContext = { tokenizer, template: 'prefill', systemMessage: undefined, ownChat: false, lossWeight: 'token' }
  const last = (tokens: Int32Array | undefined) => tokenizer.decode([...(tokens ?? [])].slice(-1))
  const pair = pairRow({ ...SAMPLE, rejected: { reply: 'Eight.' } }, imageRows, context)
  const { reply: _, turns: __, ...asked } = SAMPLE
  return {
    reply: last(policyRow(SAMPLE, imageRows, context).tokens),
    pair: [last(pair.tokens), last(pair.rejected?.tokens)],
    steps: last(policyRow({ ...asked, steps: ['3 + 4 = 7'], answer: '7' }, imageRows, context).tokens),
    stops: (await readCheckpointFolder(folder)).endTokens(tokenizer).map((id) => tokenizer.decode([id])),
  }
}

test('a reply ends as the chat template ends turns, steps as our templates do; both end what is written', async () => {
  const { stops, ...ends } = await endsOf(baseFolder('own', (own) => own))
  assert.equal(ends, { reply: '<|eot_id|>', pair: ['<|eot_id|>', '<|eot_id|>'], steps: '<|im_end|>' })
  assert.equal(stops, ['<|end_of_text|>', '<|eot_id|>', '<|im_end|>'])
})

test('a template may end a conversation once more behind the last turn', async () => {
  const { reply } = await endsOf(
    baseFolder('twice', (own) => `${own}{% if not add_generation_prompt %}{{ eos_token }}{% endif %}`),
  )
  assert.is(reply, '<|eot_id|>')
})

for (const [name, template] of Object.entries({
  'that refuses to end with the assistant':
    "{% if messages[-1]['role'] != 'user' %}{{ raise_exception('no') }}{% endif %}{{ messages[-1]['content'] }}",
  'that ends turns with no token': "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}",
  'that leaves replies out': "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}",
})) {
  test(`by a template ${name}, replies end as without one`, async () => {
    const { reply, stops } = await endsOf(baseFolder(name.replaceAll(' ', '-'), () => template))
    assert.is(reply, '<|im_end|>')
    assert.equal(stops, ['<|end_of_text|>', '<|im_end|>'])
  })
}

test.run()

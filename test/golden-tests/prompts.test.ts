/** Ids of every prompt that the golden checkpoints were run on: named templates, chat templates, scoring families. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readCheckpointFolder } from '../../ts/engine/checkpoint.ts'
import { resolveFamily } from '../../ts/engine/families/index.ts'
import { renderChat } from '../../ts/engine/template/chat.ts'
import { chatPrompt, prmTrainPrompt } from '../../ts/engine/template/internvl.ts'
import { openTokenizer, type Tokenizer } from '../../ts/engine/tokenizer/index.ts'
import { namedScoring } from '../helpers/checkpoint-files.ts'
import { goldenModels, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('models')

// biome-ignore lint/suspicious/noExplicitAny: cases are plain data, see the golden README
type Case = any
interface Context {
  tokenizer: Tokenizer
  folder: Awaited<ReturnType<typeof readCheckpointFolder>>
  scoring: string
  architecture: string
}

/** Runs of image tokens in the expected ids, one a picture: how long they are follows from the pictures, which other tests check. */
function imageRows(c: Context, ids: number[]): number[] {
  const runs: number[] = []
  const token = c.folder.imageToken(c.tokenizer)
  ids.forEach((id, i) => {
    if (id !== token) return
    if (ids[i - 1] === token) runs.push((runs.pop() as number) + 1)
    else runs.push(1)
  })
  return runs
}

function scorePrompt(c: Context, golden: Case, steps: string[], ids: number[]) {
  const family = resolveFamily(c.scoring, {
    architecture: c.architecture,
    hasRewardHead: /ProcessRewardModel|ForPrmModel/.test(c.architecture),
    pieceId: (piece) => c.tokenizer.pieceId(piece),
    config: c.folder.config as { system_message?: string },
    recorded: undefined,
    hasReference: c.scoring === 'implicit',
  })
  return family.prompt(c.tokenizer, { question: golden.question, steps, imageRows: imageRows(c, ids) })
}

const RUNNERS: Record<string, (c: Context, golden: Case) => void> = {
  logits: (c, golden) => {
    if (golden.prompt !== undefined)
      assert.equal([...c.tokenizer.prefixIds, ...c.tokenizer.encode(golden.prompt)], golden.inputIds)
  },
  chat: (c, golden) => {
    const variables = golden.templateVariables
    const rendered = renderChat(c.tokenizer, golden.messages, golden.addGenerationPrompt, { variables })
    assert.is(rendered.text, golden.text)
    assert.equal(rendered.ids, golden.inputIds)
  },
  chatImage: (c, golden) => {
    if (golden.template === 'chat') {
      assert.is(renderChat(c.tokenizer, golden.messages, true).text, golden.text)
      const { ids } = renderChat(c.tokenizer, golden.messages, true, { imageRows: imageRows(c, golden.inputIds) })
      return assert.equal(ids, golden.inputIds)
    }
    assert.is(golden.template, 'internvl2_5')
    const prompt = { question: golden.question, imageRows: imageRows(c, golden.inputIds) }
    assert.equal(chatPrompt(c.tokenizer, prompt), golden.inputIds)
  },
  trainIds: (c, golden) => {
    const { ids, markers } = prmTrainPrompt(c.tokenizer, { ...golden, imageRows: imageRows(c, golden.inputIds) })
    assert.equal(ids, golden.inputIds)
    assert.ok(markers.length === golden.steps.length && markers.every((m) => ids[m] === golden.marker))
  },
  score: (c, golden) => {
    const prompt = scorePrompt(c, golden, golden.steps, golden.inputIds)
    assert.equal(prompt.ids, golden.inputIds)
    if (golden.positions) assert.equal(prompt.markers, golden.positions)
    else assert.ok(prompt.markers.length === golden.steps.length && prompt.markers.every((m) => prompt.ids[m] === golden.marker))
    if (golden.rewardIds && prompt.reward.kind === 'pair') assert.equal([prompt.reward.yes, prompt.reward.no], golden.rewardIds)
  },
  scoreSolutions: (c, golden) => {
    golden.solutions.forEach((steps: string[], i: number) => {
      const { ids, markers } = scorePrompt(c, golden, steps, golden.inputIds[i])
      assert.equal(ids, golden.inputIds[i], `solution ${i}`)
      if (golden.positions) assert.equal(markers, golden.positions[i])
    })
  },
  logitsRows: () => {},
  greedy: () => {},
  vision: () => {},
  smartResize: () => {},
}

let ran = 0
for (const { name, path } of goldenModels()) {
  test(`prompts of models/${name}`, async () => {
    const tokenizer = await openTokenizer(path)
    const folder = await readCheckpointFolder(path)
    const { architectures } = readJson(join(path, 'config.json'))
    const context = {
      tokenizer,
      folder,
      scoring: namedScoring(path) ?? 'auto',
      architecture: architectures?.[0] ?? '',
    }
    readJson(join(path, 'golden.json')).cases.forEach((c: Case, i: number) => {
      const runner = RUNNERS[c.kind]
      assert.ok(runner, `case ${i}: unknown kind ${c.kind}`)
      try {
        runner(context, c)
      } catch (error) {
        ;(error as Error).message = `case ${i} ${c.kind}: ${(error as Error).message}`
        throw error
      }
      ran++
    })
  })
}

test('some cases ran', () => {
  console.log(`golden/models prompts: ${ran} cases ran`)
  assert.ok(ran > 0)
})

test.run()

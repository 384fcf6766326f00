/** What generative judges are asked: every byte of it. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { analyzeStart, genPrmMessages, genPrmReply } from '../../ts/critics/gen-prm.ts'
import { rPrmPrompt } from '../../ts/critics/r-prm.ts'
import { thinkPrmMessage } from '../../ts/critics/think-prm.ts'
import { vrPrmStepMessages, vrPrmThinkMessages } from '../../ts/critics/vr-prm.ts'
import { GOLDEN_ROOT, needAreas, readJson } from '../helpers/golden.ts'

await needAreas('judges')

// biome-ignore lint/suspicious/noExplicitAny: cases are plain data, see the golden README
type Case = any

const RUNNERS: Record<string, (c: Case) => void> = {
  'r-prm': (c) => assert.is(rPrmPrompt(c, c.step), c.text),
  genprm: (c) => {
    assert.equal(genPrmMessages(c, c.replies), c.messages)
    assert.is(analyzeStart(c.step), c.analyzeStart)
    for (const reply of c.replies) assert.is(genPrmReply(reply.includes('Yes')), reply)
    assert.ok(genPrmReply(true).startsWith(`${c.outputStart}{Yes}`))
  },
  vrprm: (c) => {
    const messages = c.thought === undefined ? vrPrmThinkMessages(c, 0) : vrPrmStepMessages(c, c.thought, c.judgements)
    assert.equal(messages, c.messages)
  },
  thinkprm: (c) => assert.is(thinkPrmMessage(c, c.perStep), c.message),
}

const cases: Case[] = readJson(join(GOLDEN_ROOT, 'judges/judges.json')).cases

test('every judge is asked in the words of its public code', () => {
  for (const [i, c] of cases.entries()) {
    const runner = RUNNERS[c.judge]
    assert.ok(runner, `case ${i}: unknown judge ${c.judge}`)
    runner(c)
  }
  console.log(`golden/judges: ${cases.length} cases ran`)
  assert.ok(cases.length > 0)
})

test.run()

/** Rows of training files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readDataset } from '../../../ts/train/index.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-rows-'))
test.after(() => rmSync(work, { recursive: true, force: true }))

test("a policy's row may end with its answer step, as completions do, or hold the answer apart", async () => {
  const path = join(work, 'policy.jsonl')
  const rows = [
    { question: 'q', steps: ['one', 'two', '42'], answer: '42' },
    { question: 'q', steps: ['one', 'two'], answer: '42' },
  ]
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'))
  const { samples } = await readDataset(path, 'policy', 'error')
  assert.equal(
    samples.map(({ steps, answer }) => ({ steps, answer })),
    Array(2).fill({ steps: ['one', 'two'], answer: '42' }),
  )
})

test.run()

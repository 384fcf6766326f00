/** Training rows as others write them: TRL, ms-swift, Math-Shepherd; what is wrong with one is said, and whose it is. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readDataset } from '../../../ts/train/data.ts'

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-train-rows-'))
test.after(() => rmSync(folder, { recursive: true }))

async function read(rows: readonly object[], badLines: 'skip' | 'error' = 'error') {
  const path = join(folder, 'data.jsonl')
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'))
  return readDataset(path, 'prm', badLines)
}
const samplesOf = async (rows: readonly object[]) =>
  (await read(rows)).samples.map(({ question, steps, labels }) => ({ question, steps, labels }))

test("TRL's stepwise supervision", async () => {
  const steps = ['0+0=0.', 'Answer: 0']
  const rows = [
    { prompt: 'What is 0+0?', completions: steps, labels: [true, false] },
    { prompt: 'What is 0+0?', completions: steps, labels: [1, 0] },
    {
      prompt: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'What is 0+0?' },
      ],
      completions: steps,
      labels: [true, false],
    },
    { prompt: 'What is 0+0?', completions: steps, labels: [true, false], soft_labels: [0.75, 0.25] },
  ]
  const expected = { question: 'What is 0+0?', steps, labels: [1, 0] }
  assert.equal(await samplesOf(rows), [expected, expected, expected, { ...expected, labels: [0.75, 0.25] }])
})

test('Math-Shepherd as it is published', async () => {
  const text =
    'Janet has 3 eggs (Step 1: count). How many are 2 more? Step 1: She has 3. @\nStep 2: 3 + 2 = <<3+2=5>>5. @\nStep 3: The answer is: 6 @'
  const signs = ['+', '+', '-']
  const label = text.replace(/@/g, () => signs.shift() as string)
  const [sample] = await samplesOf([{ input: text.replaceAll('@', 'ки'), label, task: 'GSM8K' }])
  assert.equal(sample, {
    question: 'Janet has 3 eggs (Step 1: count). How many are 2 more?',
    steps: ['Step 1: She has 3.', 'Step 2: 3 + 2 = <<3+2=5>>5.', 'Step 3: The answer is: 6'],
    labels: [1, 1, 0],
  })
})

test('ms-swift: the question without its picture, the picture of a list', async () => {
  const messages = [
    { role: 'user', content: '<image>How many?' },
    { role: 'assistant', content: 'a\n\nb' },
  ]
  const data = await read([
    { messages, images: ['data:image/png;base64,AA=='], steps: ['a', 'b'], labels: [1, 0.5] },
    { messages, images: [], steps: ['a', 'b'], labels: [0, null] },
  ])
  assert.equal(
    data.samples.map((s) => [s.question, s.image]),
    [
      ['How many?', 'data:image/png;base64,AA=='],
      ['How many?', undefined],
    ],
  )
})

const good = { id: 'good', question: 'q', steps: ['a', 'b'], labels: [1, 0] }
const BAD: [row: object, says: RegExp][] = [
  [{ prompt: 3, completions: ['a'], labels: [true] }, /"prompt" must be a string, or messages/],
  [{ prompt: 'q', completions: ['a', ' '], labels: [true, true] }, /completions\[1\] is empty/],
  [{ prompt: 'q', completions: ['a'], labels: [true, false] }, /2 labels for 1 steps/],
  [{ prompt: 'q', completions: ['a'], labels: ['+'] }, /label 0 is "\+"; a number between 0 and 1, true, false or null/],
  [{ input: 'q Step 1: a ки b', label: 'q Step 1: a + b' }, /"input" must end in ки/],
  [{ input: 'q a ки', label: 'q a +' }, /no "Step 1:"/],
  [{ input: 'q Step 1: a ки', label: 'q Step 1: b +' }, /"label" is not "input" with \+ or -.*step 0/],
  [{ input: 'q Step 1: a ки', label: 'q Step 1: a ?' }, /step 0/],
  [{ messages: [], steps: ['a'], labels: [1] }, /"messages" must be/],
  [{ ...good, image: ['data:image/png;base64,AA==', 'b.png'] }, /b\.png: no such file/],
  [{ ...good, images: ['data:image/png;base64,AA==', 3] }, /must be a path or a data URI/],
]

test('several pictures, as every format writes them: in front, or each where the question says', async () => {
  const [a, b] = ['data:image/png;base64,AA==', 'data:image/png;base64,BB==']
  const steps = ['a', 'b']
  const labels = [1, 0]
  const spoken = (value: string) => [{ from: 'human', value: '' }, { from: 'gpt', value: `${value}\nProcess: a<prm>\n\nb<prm>` }] // biome-ignore format: one line
  const asked = (content: string) => [{ role: 'user', content }]
  const { samples } = await read([
    { question: 'Is <image2> more than <image1>?', images: [a, b], steps, labels },
    { question: 'Which?', images: [a, b], steps, labels },
    { conversations: spoken('Question: Is <image> more than <image>?'), image: [b, a], labels },
    { conversations: spoken('<image>\n<image>\nQuestion: Which?'), image: [a, b], labels },
    { messages: asked('Is <image> more than <image>?'), images: [b, a], steps, labels },
    { messages: asked('<image><image>Which?'), images: [a, b], steps, labels },
  ])
  const placed = ['Is <image> more than <image>?', [b, a]]
  const inFront = ['Which?', [a, b]]
  assert.equal(
    samples.map((s) => [s.question, s.images]),
    [placed, inFront, placed, inFront, placed, inFront],
  )
})

test('a bad row says what is wrong and, where it has an id, whose it is; skipped ones are named', async () => {
  const { samples, skipped } = await read([good, ...BAD.map(([row], i) => ({ id: `bad-${i}`, ...row }))], 'skip')
  assert.equal(
    samples.map((s) => s.id),
    ['good'],
  )
  assert.is(skipped.length, BAD.length)
  skipped.forEach(({ file, line, id, reason }, i) => {
    assert.equal([file, line], [join(folder, 'data.jsonl'), i + 2])
    assert.is(id, BAD[i]?.[0] && 'id' in (BAD[i][0] as object) ? 'good' : `bad-${i}`)
    assert.match(reason, BAD[i]?.[1] as RegExp)
  })
  const error = await read([good, { id: 'x', ...(BAD[0]?.[0] as object) }]).catch((e: Error) => e)
  assert.match((error as Error).message, /data\.jsonl: line 2: "prompt" must be.* \(id x\)$/)
})

test.run()

/** What is made of next steps side by side: groups, labels of similar steps together, transitions. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { EngineError } from '../../../ts/contracts/errors.ts'
import type { Counts, ProblemTree, TreeNode } from '../../../ts/contracts/records.ts'
import { buildDataset, type DatasetOptions } from '../../../ts/dataset/index.ts'

const work = mkdtempSync(join(tmpdir(), 'mm-prm-groups-'))
test.after(() => rmSync(work, { recursive: true, force: true }))

const counts = (correct: number, total: number): Counts => ({ correct, total, unparsed: 0, truncated: 0 })
const node = (
  step: string | null,
  [correct, total]: [number, number],
  children: TreeNode[] = [],
  terminal = false,
): TreeNode => ({
  ...{ steps: step === null ? [] : [step], counts: counts(correct, total), children, terminal },
  ...{ firstError: false, visits: 1, rollouts: [] },
})
/** Three ways to begin, two of which say the same; behind the first, two that end. */
const tree: ProblemTree = {
  problem: { id: 'p', question: 'What is it, and why so?', answer: '7' },
  root: node(
    null,
    [4, 8],
    [
      node(
        'We add 3 + 4 = 7 apples here.',
        [4, 4],
        [node('So it is 7.', [1, 1], [], true), node('So it is 9.', [0, 1], [], true)],
      ),
      node('We add 4 + 3 = 7 apples here.', [1, 4]),
      node('Multiply 3 * 4 = 12 instead.', [0, 4]),
    ],
  ),
}
let made = 0
async function build(options: DatasetOptions): Promise<{ rows: Record<string, unknown>[]; kinds: object; count: number }> {
  const out = join(work, String(made++))
  async function* trees() {
    yield tree
  }
  const { files, kinds, labels } = await buildDataset({ trees, out, maxShortWords: 0, balance: 'none', ...options })
  const rows = files.flatMap(({ file }) =>
    readFileSync(join(out, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  )
  return { rows, kinds, count: labels.count }
}

test('groups: the judged next steps of each prefix, where their labels differ', async () => {
  const { rows, kinds, count } = await build({ samples: 'groups', formats: ['groups'] })
  assert.equal(
    rows.map(({ prefix, steps, labels, counts }) => [(prefix as string[]).length, (steps as string[]).length, labels, counts]),
    [
      [
        0,
        3,
        [1, 0.25, 0],
        [
          [4, 4],
          [1, 4],
          [0, 4],
        ],
      ],
      [
        1,
        2,
        [1, 0],
        [
          [1, 1],
          [0, 1],
        ],
      ],
    ],
  )
  assert.equal([kinds, count], [{ negative: 0, positive: 0, group: 2 }, 5])
  assert.equal(
    new Set(rows.map(({ id, problemId, kind }) => `${id} ${problemId} ${kind}`)),
    new Set(['p#0 p group', 'p#1 p group']),
  )
})

test('grouped: similar steps are labelled together, mixed ones by what their prefix is worth', async () => {
  const { rows } = await build({ samples: 'groups', formats: ['groups'], label: 'grouped' })
  assert.equal(
    rows.map(({ labels }) => labels),
    [
      [0.5, 0.5, 0],
      [1, 0],
    ],
  )
  const paths = await build({ label: 'grouped' })
  const begun = paths.rows.map(({ steps, labels }) => `${(steps as string[])[0]?.slice(0, 8)} ${(labels as number[])[0]}`)
  assert.equal(new Set(begun), new Set(['We add 3 0.5', 'We add 4 0.5', 'Multiply 0']))
})

test('transitions: each step of a problem once, its end marked', async () => {
  const { rows } = await build({ formats: ['transitions'] })
  const shown = rows.map(({ state, step, reward, terminal }) => `${(state as string[]).length} ${step} ${reward} ${terminal}`)
  assert.equal(
    new Set(shown),
    new Set([
      '0 We add 3 + 4 = 7 apples here. 1 false',
      '0 We add 4 + 3 = 7 apples here. 0.25 false',
      '0 Multiply 3 * 4 = 12 instead. 0 false',
      '1 So it is 7. 1 true',
      '1 So it is 9. 0 true',
    ]),
  )
  assert.is(shown.length, 5)
  assert.equal(Object.keys(rows[0] ?? {}), ['problemId', 'question', 'answer', 'state', 'step', 'reward', 'terminal'])
})

test('what does not go together is refused with what would', async () => {
  const refusal = async (options: DatasetOptions) => ((await build(options).catch((e) => e)) as EngineError).message
  assert.match(await refusal({ samples: 'groups' }), /format steps is not for samples groups: take groups/)
  assert.match(await refusal({ formats: ['groups'] }), /format groups is not for samples paths: take samples groups/)
  assert.match(
    await refusal({ samples: 'groups', formats: ['groups'], keep: 0.5 }),
    /samples groups take no judge, no balanceBy and no keep/,
  )
})

test.run()

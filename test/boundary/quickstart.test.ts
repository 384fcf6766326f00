/** The quickstart on the shipped models, in small: what it prints and leaves, the same for the same seed; refusals. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')
const folder = mkdtempSync(join(tmpdir(), 'mm-prm-quickstart-'))
const SMALL = ['--search-problems', '24', '--rollouts', '32', '--test-problems', '6']

function quickstart(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'quickstart', ...args], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

/** What does not depend on the clock; nor on the options, which a trained PRM's folder records and its name hashes. */
function figuresOf({ seconds, page, training, judged, ...rest }: ReturnType<typeof JSON.parse>) {
  for (const { results } of judged) results.prm.scorer = ''
  return { ...rest, judged, training: { steps: training.steps, loss: training.loss } }
}
const figures = (out: string) => figuresOf(JSON.parse(readFileSync(join(out, 'quickstart.json'), 'utf8')))

test('prints a table and an example, and leaves a page that stands alone', () => {
  const out = join(folder, 'a')
  const { status, stdout, stderr } = quickstart(...SMALL, '--out', out)
  assert.is(status, 0, stderr)
  for (const name of ['pass@1', 'majority', 'weighted(mean)', 'mean_odds', 'min', 'oracle', 'F1 of both']) {
    assert.ok(stdout.includes(name), `the table has a row ${name}`)
  }
  const page = readFileSync(join(out, 'index.html'), 'utf8')
  assert.ok(stdout.includes(join(out, 'index.html')))
  assert.match(page, /first error/)
  assert.match(page, /<svg/)
  assert.not.match(page, /\b(?:src|href)="(?!data:)/, 'nothing is loaded from elsewhere')
  const { judged, search } = figures(out)
  assert.equal(
    judged.map((j: { name: string }) => j.name),
    ['trained now', 'shipped'],
  )
  const evaluated = JSON.parse(readFileSync(join(out, 'eval/results.json'), 'utf8'))
  evaluated.tasks.minik12.prm.scorer = ''
  assert.equal(evaluated.tasks.minik12, judged[1].results, 'the table is that of an evaluation')
  assert.is(judged[0].results.policy.accuracy, judged[1].results.policy.accuracy)
  assert.ok(search.labels > 0 && search.agree > 0.5, `labels agree with the truth: ${search.agree}`)
})

test('the same seed gives the same figures, with --json too; an earlier quickstart is replaced', () => {
  const out = join(folder, 'a')
  const before = figures(out)
  const { status, stdout, stderr } = quickstart(...SMALL, '--out', out, '--threads', '1', '--json')
  assert.is(status, 0, stderr)
  assert.equal(figures(out), before)
  assert.equal(figuresOf(JSON.parse(stdout)), before)
})

test("other people's files are left alone, and a missing model is named", () => {
  const out = mkdtempSync(join(folder, 'b-'))
  writeFileSync(join(out, 'thesis.txt'), 'years of work')
  const refused = quickstart('--out', out)
  assert.is(refused.status, 2)
  assert.match(refused.stderr, /not empty/)
  assert.ok(existsSync(join(out, 'thesis.txt')))
  const missing = quickstart('--out', join(folder, 'c'), '--policy', join(folder, 'nowhere'))
  assert.is(missing.status, 2)
  assert.match(missing.stderr, /no checkpoint in .*nowhere/)
})

test.after(() => rmSync(folder, { recursive: true, force: true }))
test.run()

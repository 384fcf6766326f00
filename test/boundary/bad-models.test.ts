/**
 * Checkpoints that are broken in every way that comes to mind, opened in child processes: a typed error that names
 * file and key, whether the folder is inspected or opened; never a crash, never memory for a lie.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type BadModel, GROUPS } from '../helpers/bad-checkpoints.ts'
import { copyCheckpoint, pickCheckpoint } from '../helpers/checkpoint-files.ts'

const SOURCES = {
  text: pickCheckpoint({ sharded: false, vision: false }),
  vision: pickCheckpoint({ sharded: false, vision: true, file: 'tokenizer.json' }),
  sharded: pickCheckpoint({ sharded: true, vision: true }),
}
const CHILD = join(import.meta.dirname, '../helpers/open-models.ts')
const MAX_KIB = 1 << 20

interface Outcome {
  opened?: true
  code?: string
  message?: string
}
interface Report {
  folder: string
  inspected: Outcome
  opened: Outcome
  maxKiB: number
}

function openInChild(folders: string[]): Report[] {
  const child = spawnSync(process.execPath, ['--import', 'tsx', CHILD, ...folders], { encoding: 'utf8' })
  const reports: Report[] = child.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  const died = folders[reports.length]
  assert.is(died, undefined, `the process died (${child.signal ?? child.status}) over ${died}\n${child.stderr}`)
  assert.is(child.status, 0, child.stderr)
  return reports
}

function check(model: BadModel, outcome: Outcome, mustOpen: boolean, how: string): void {
  const where = `${model.name} (${how}): ${outcome.code}: ${outcome.message}`
  if (mustOpen) {
    assert.ok(outcome.opened, where)
    return
  }
  assert.is(outcome.code, `ERR_ENGINE_${model.code ?? 'INVALID'}_MODEL`, where)
  for (const expected of model.says) assert.match(outcome.message as string, expected, where)
}

let ran = 0
for (const [group, models] of Object.entries(GROUPS)) {
  test(`bad models: ${group}`, () => {
    const root = mkdtempSync(join(tmpdir(), 'mm-prm-bad-'))
    try {
      const folders = models.map((model, i) => {
        const folder = join(root, `${i}`)
        copyCheckpoint(SOURCES[model.from ?? 'text'], folder)
        model.spoil(folder)
        return folder
      })
      for (const [i, report] of openInChild(folders).entries()) {
        const model = models[i] as BadModel
        check(model, report.inspected, model.says.length === 0 || model.inspectsWell === true, 'inspected')
        check(model, report.opened, model.says.length === 0, 'opened')
        assert.ok(report.maxKiB < MAX_KIB, `${model.name}: ${report.maxKiB} KiB were needed`)
        ran++
      }
    } finally {
      rmSync(root, { recursive: true })
    }
  })
}

test('bad models: folders that are none', () => {
  const [absent, plain] = openInChild(['/no/such/model', CHILD])
  assert.match(absent?.opened.message as string, /\/no\/such\/model: no such folder/)
  assert.match(plain?.opened.message as string, /open-models\.ts: (is )?not a folder/)
  ran += 2
})

test('bad models: all ran', () => {
  console.log(`bad models: ${ran} cases ran`)
  assert.is(ran, Object.values(GROUPS).flat().length + 2)
})

test.run()

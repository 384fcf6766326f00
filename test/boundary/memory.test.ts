/** What opening costs: memory little above the packed weights, progress while it lasts, nothing kept of an opening that is stopped. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeRandomCheckpoint } from '../../bench/engine/random-checkpoint.ts'

const CHILD = join(import.meta.dirname, '../helpers/open-memory.ts')
const MAX_RESIDENT_PER_PACKED = 1.2
/** 117 million parameters. */
const SHAPE = { hidden: 768, intermediate: 3072, layers: 11, heads: 12, kvHeads: 4, vocab: 32_000 }

const folder = mkdtempSync(join(tmpdir(), 'mm-prm-memory-'))
test.before(() => writeRandomCheckpoint(SHAPE, folder))
test.after(() => rmSync(folder, { recursive: true }))

for (const weights of ['bf16', 'f32']) {
  test(`memory and progress of opening, ${weights}`, () => {
    const child = spawnSync(process.execPath, ['--expose-gc', '--import', 'tsx', CHILD, folder, weights], { encoding: 'utf8' })
    assert.is(child.status, 0, child.stderr)
    const { aborted, thrown, keptBytes, grownBytes, packedBytes, progress } = JSON.parse(child.stdout)
    const fileBytes = statSync(join(folder, 'model.safetensors')).size
    assert.ok(packedBytes > 0.95 * fileBytes * (weights === 'f32' ? 2 : 1), `${packedBytes} packed of ${fileBytes}`)
    assert.ok(
      grownBytes < MAX_RESIDENT_PER_PACKED * packedBytes,
      `${grownBytes} bytes became resident for ${packedBytes} bytes of packed weights`,
    )

    const done = progress.map(([bytes]: [number, number]) => bytes)
    assert.equal(
      done,
      done.toSorted((a: number, b: number) => a - b),
      'progress never goes back',
    )
    assert.ok(progress.length > 1, 'progress is told while opening lasts')
    assert.is(done.at(-1), progress.at(-1)[1], 'the last word is the whole')

    assert.is(aborted, 'ERR_ENGINE_ABORTED')
    assert.is(thrown, 'from the callback')
    assert.ok(keptBytes < 0.5 * packedBytes, `${keptBytes} bytes stay resident after openings that were stopped`)
  })
}

test.run()

/** The README's list of architectures is the registry's. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
// @ts-expect-error: a script without types
import { architectures, withList } from '../../scripts/model-list.mjs'
import { goldenModels, readJson } from '../helpers/golden.ts'

const README = join(import.meta.dirname, '../../README.md')

test('the README lists what the registry reads', () => {
  const readme = readFileSync(README, 'utf8')
  assert.ok(readme === withList(readme), 'README.md is not what node scripts/model-list.mjs makes of native/models/registry.cc')
})

test('the list is whole: every golden checkpoint is in it', () => {
  const { models, inside } = architectures()
  for (const { name, path } of goldenModels()) {
    const { architectures: own, llm_config: llm } = readJson(join(path, 'config.json'))
    assert.ok(models.includes(own[0]), `${name}: ${own[0]}`)
    if (llm) assert.ok(inside.includes(llm.architectures[0]), `${name}: ${llm.architectures[0]}`)
  }
  assert.is(new Set(models).size, models.length)
})

test('a README without a place for the list is refused', () => {
  assert.throws(() => withList('# mm-prm'), /README\.md: no <!-- models:begin/)
})

test.run()

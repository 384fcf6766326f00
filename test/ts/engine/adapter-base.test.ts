/** The base model's name in an adapter's config. */
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { adapterBase } from '../../../ts/engine/adapter-base.ts'

test('a folder is named by its whole path, wherever it was named from', () => {
  for (const init of ['models/base', './models/base/', join(process.cwd(), 'models/base')])
    assert.equal(adapterBase(init), { base_model_name_or_path: join(process.cwd(), 'models/base') })
})

test('a model of the hub’s cache is named as on the hub, with its commit', () => {
  const commit = '0123456789abcdef0123456789abcdef01234567'
  for (const end of ['', '/'])
    assert.equal(adapterBase(`/home/u/.cache/huggingface/hub/models--Org-X--a--b.c/snapshots/${commit}${end}`), {
      base_model_name_or_path: 'Org-X/a--b.c',
      revision: commit,
    })
  const other = `/data/models--nothing/snapshots/${commit}`
  assert.equal(adapterBase(other), { base_model_name_or_path: other })
})

test.run()

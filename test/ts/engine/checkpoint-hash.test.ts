/** The name of a checkpoint: its contents decide, wherever they lie; what cannot be read has no name. */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { readCheckpointFolder } from '../../../ts/engine/checkpoint.ts'
import { checkpointHash } from '../../../ts/engine/checkpoint-hash.ts'
import { pickCheckpoint } from '../../helpers/checkpoint-files.ts'

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-hash-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))

let folders = 0
const newFolder = () => {
  const folder = join(scratch, String(folders++))
  mkdirSync(folder)
  return folder
}

/** A folder as a hub's cache keeps it: every file a link to a blob. */
function asSnapshot(plain: string, link = (name: string) => `../../blobs/${name}`): string {
  const cache = newFolder()
  const snapshot = join(cache, 'snapshots/0123abc')
  for (const folder of [join(cache, 'blobs'), snapshot]) mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(plain)) {
    cpSync(join(plain, name), join(cache, 'blobs', `${name}-blob`), { recursive: true })
    symlinkSync(link(`${name}-blob`), join(snapshot, name))
  }
  return snapshot
}

function refusal(folder: string): string {
  try {
    checkpointHash(folder)
  } catch (error) {
    assert.ok(error instanceof EngineError, String(error))
    return `${error.code} ${error.message}`
  }
  return 'no error'
}

const small = (weights = 'weights') => {
  const folder = newFolder()
  writeFileSync(join(folder, 'config.json'), '{}')
  writeFileSync(join(folder, 'model.safetensors'), weights)
  return folder
}

test('a snapshot in a hub cache is named as the same files in a plain folder', () => {
  const model = pickCheckpoint({ kind: 'scoreSolutions' })
  const name = checkpointHash(model)
  assert.match(name, /^[0-9a-f]{16}$/)
  assert.is(checkpointHash(asSnapshot(model)), name)
  const linked = join(scratch, 'linked')
  symlinkSync(model, linked)
  assert.is(checkpointHash(linked), name, 'a link to the folder')
  const twice = asSnapshot(asSnapshot(model), (blob) => `../../blobs/${blob}`)
  assert.is(checkpointHash(twice), name, 'copies of links, and links to them')
})

test('two models in a hub cache have two names', () => {
  const [a, b] = [asSnapshot(small('one')), asSnapshot(small('two'))]
  assert.is.not(checkpointHash(a), checkpointHash(b))
  // The SHA-256 of nothing.
  for (const folder of [a, b]) assert.not.match(checkpointHash(folder), /^e3b0c44298fc1c14/)
})

test('what decides the results counts, what does not is left out', () => {
  const folder = small()
  let name = checkpointHash(folder)
  for (const other of ['README.md', 'training.log', '.gitattributes']) writeFileSync(join(folder, other), 'x')
  assert.is(checkpointHash(folder), name)
  for (const file of [
    'mm-prm.json',
    'tokenizer.model',
    'merges.txt',
    'chat_template.jinja',
    'model-00002-of-00002.safetensors',
  ]) {
    writeFileSync(join(folder, file), 'x')
    assert.is.not(checkpointHash(folder), name, file)
    name = checkpointHash(folder)
  }
  renameSync(join(folder, 'model-00002-of-00002.safetensors'), join(folder, 'model-00003-of-00003.safetensors'))
  assert.is.not(checkpointHash(folder), name)
})

test('a tensor that changed in the middle of a file makes another name', () => {
  const folder = small()
  const path = join(folder, 'model.safetensors')
  writeFileSync(path, Buffer.alloc(9 * 2 ** 20))
  const before = checkpointHash(folder)
  const file = openSync(path, 'r+')
  writeSync(file, 'x', 5 * 2 ** 20)
  assert.is.not(checkpointHash(folder), before, 'one byte of a file that is read whole')
  const large = join(folder, 'large.safetensors')
  spawnSync('truncate', ['-s', String(600 * 2 ** 20), large])
  const zeros = checkpointHash(folder)
  const tensor = openSync(large, 'r+')
  writeSync(tensor, Buffer.alloc(5 * 2 ** 20, 1), 0, 5 * 2 ** 20, 300 * 2 ** 20 + 12_345)
  assert.is.not(checkpointHash(folder), zeros, 'a tensor of 5 MiB in a file that is read in part')
})

test('no name for what cannot be read', () => {
  assert.match(refusal(join(scratch, 'nowhere')), /ERR_ENGINE_INVALID_MODEL .*nowhere: a checkpoint folder is expected/)
  const file = join(scratch, 'file')
  writeFileSync(file, '{}')
  assert.match(refusal(file), /ERR_ENGINE_INVALID_MODEL .*a checkpoint folder is expected/)
  const empty = newFolder()
  assert.match(refusal(empty), /ERR_ENGINE_INVALID_MODEL .*holds nothing of a model/)
  writeFileSync(join(empty, 'pytorch_model.bin'), 'weights')
  writeFileSync(join(empty, 'config.json'), '')
  assert.match(refusal(empty), /holds nothing of a model/)
})

test('links that lead nowhere or in circles, pipes, devices and folders in the place of a file', async () => {
  const cases: [string, (path: string) => void, RegExp][] = [
    ['a broken link', (path) => symlinkSync('../../blobs/gone', path), /leads nowhere \(a broken link\)/],
    ['a link to itself', (path) => symlinkSync(path, path), /is a link that leads back to itself/],
    ['a pipe', (path) => assert.is(spawnSync('mkfifo', [path]).status, 0), /is not a regular file/],
    ['a device', (path) => symlinkSync('/dev/zero', path), /is not a regular file/],
    ['a folder', (path) => symlinkSync('.', path), /is not a regular file but a folder/],
  ]
  for (const name of ['model.safetensors', 'tokenizer.json']) {
    for (const [what, make, message] of cases) {
      const folder = small()
      rmSync(join(folder, name), { force: true })
      make(join(folder, name))
      const said = refusal(folder)
      assert.match(said, new RegExp(`^ERR_ENGINE_INVALID_MODEL .*${name}`), what)
      assert.match(said, message, what)
      const opened = await readCheckpointFolder(folder).catch((error) => error)
      assert.is(`${opened.code} ${opened.message}`, said, 'nothing of such a folder is opened')
    }
  }
})

test.run()

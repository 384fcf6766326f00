/** Checkpoint folders that somebody spoilt: an engine that opens, or a typed error; never a crash, a hang or lost memory. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../ts/contracts/errors.ts'
import { seededRandom } from '../../ts/contracts/random.ts'
import { Engine } from '../../ts/engine/engine.ts'
import { attack, tally } from '../helpers/attack.ts'

const MODEL = join(import.meta.dirname, '../../models/mini-prm')
const FILES = [
  'config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors', 'generation_config.json',
  'preprocessor_config.json', 'mm-prm.json',
] // biome-ignore format: a list
/** What stands in place of a number, a word or a switch. */
const STRANGE = [
  '-1', '0', '1e9', '2147483648', '-2147483649', '65536', '9007199254740993', '1e308', '0.5', 'null', '"x"', '[]', '{}', 'true',
] // biome-ignore format: a list
/** Of a file of weights: its table of contents, which is text but for its length in front. */
const HEADER = { from: 8, to: 30_000 }
const SAME = ['opened, the same scores', 'opened, other scores', 'refused with a typed error'] as const

const scratch = mkdtempSync(join(tmpdir(), 'mm-prm-attack-models-'))
test.after(() => rmSync(scratch, { recursive: true, force: true }))

/** Cut short, bytes changed, a value of the text changed, a stretch pushed in. */
function spoilt(original: Buffer, isWeights: boolean, below: (n: number) => number): Buffer {
  const end = isWeights ? Math.min(original.length, HEADER.to) : original.length
  const kind = below(4)
  if (kind === 0) return original.subarray(0, below(original.length))
  if (kind === 1) {
    const bytes = Buffer.from(original)
    for (let i = 0; i <= below(4); i++) bytes[below(end)] = below(256)
    return bytes
  }
  if (kind === 2) {
    const from = isWeights ? HEADER.from : 0
    const values = [
      ...original
        .subarray(from, end)
        .toString('latin1')
        .matchAll(/-?\d+(?:\.\d+)?|true|false|"[a-zA-Z_]+"/g),
    ]
    const value = values[below(values.length)] as RegExpExecArray
    const at = from + value.index
    const strange = Buffer.from(STRANGE[below(STRANGE.length)] as string)
    return Buffer.concat([original.subarray(0, at), strange, original.subarray(at + value[0].length)])
  }
  const at = below(end)
  return Buffer.concat([original.subarray(0, at), Buffer.alloc(below(200), below(256)), original.subarray(at)])
}

async function scores(model: string): Promise<string> {
  await using engine = await Engine.open({ model, cpu: { threads: 1 }, kvCacheBytes: 8e6 })
  return JSON.stringify(await engine.scoreSteps({ question: 'What is 2+3?', steps: ['2 + 3 = 5.', 'Answer: 5'] }))
}

const SPOILT = 2000
attack(`${SPOILT} checkpoint folders with one file cut, overwritten, or with a strange value in it`, async () => {
  const random = seededRandom('checkpoints')
  const below = (n: number) => Math.floor(random() * n)
  const folder = join(scratch, 'model')
  cpSync(MODEL, folder, { recursive: true })
  const expected = await scores(folder)
  const counts = { [SAME[0]]: 0, [SAME[1]]: 0, [SAME[2]]: 0 }
  let peak = 0
  for (let i = 0; i < SPOILT; i++) {
    const file = FILES[below(FILES.length)] as string
    const original = readFileSync(join(MODEL, file))
    writeFileSync(join(folder, file), spoilt(original, file.endsWith('.safetensors'), below))
    const result = await scores(folder).catch((error) => error)
    const isError = result instanceof Error
    if (isError) assert.ok(result instanceof EngineError, `${i}, ${file}: ${result.stack}`)
    counts[SAME[isError ? 2 : result === expected ? 0 : 1]]++
    peak = Math.max(peak, process.memoryUsage.rss())
    writeFileSync(join(folder, file), original)
  }
  assert.ok(peak < 1e9, `${peak} bytes`)
  return `${tally(counts)}; no crash, no hang, never more than ${Math.ceil(peak / 1e8) * 100} MB`
})

test.run()

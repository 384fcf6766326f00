/** The golden set as a whole: an area that no test here reads would pass unnoticed. */
import { readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GOLDEN_DEVICE, GOLDEN_ROOT } from '../helpers/golden.ts'

const READ = [
  'answers',
  'best-of-n',
  'eval',
  'images',
  'judges',
  'models',
  'omega',
  'sampling',
  'tokenizers',
  'training',
  'verify',
]
test('every area of the golden set is read by a test', () => {
  const entries = readdirSync(GOLDEN_ROOT, { withFileTypes: true })
  const there = entries.filter((entry) => !entry.isFile()).map((entry) => entry.name)
  const strange = there.filter((name) => !READ.includes(name))
  assert.equal(strange, [], `no test reads these in ${GOLDEN_ROOT}`)
  assert.ok(there.length > 0, `nothing is in ${GOLDEN_ROOT}`)
  const absent = READ.filter((name) => !there.includes(name))
  console.log(
    `golden: ${there.length} areas: ${there.join(', ')}${absent.length > 0 ? `; not in this set: ${absent.join(', ')}` : ''}`,
  )
})

test('what runs where is said', () => {
  if (GOLDEN_DEVICE === 'cpu') return
  const without = READ.filter((name) => name !== 'models' && name !== 'training')
  console.log(
    `on ${GOLDEN_DEVICE}: models; on the CPU: ${without.join(', ')}, which use no device, and training, which has none yet`,
  )
})

test.run()

/** Text, picture and answer of every problem agree; the same seed gives the same pixels; the truth about steps. */
import { createHash } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { EngineError } from '../../../ts/contracts/errors.ts'
import { FONT } from '../../../ts/tasks/font.ts'
import {
  checkSteps,
  FAMILIES,
  findFamily,
  IMAGE_SIZE,
  type MiniProblem,
  makeProblem,
  makeProblems,
  OUT_OF_DOMAIN,
  type Part,
  partOf,
  solutionText,
  writtenSolution,
} from '../../../ts/tasks/index.ts'

const PER_FAMILY = 150
const all = FAMILIES.flatMap((family) => Array.from({ length: PER_FAMILY }, (_, i) => makeProblem(family, 'test', i)))
const isDark = (p: MiniProblem, x: number, y: number) =>
  x >= 0 && y >= 0 && x < IMAGE_SIZE && y < IMAGE_SIZE && (p.pixels[y * IMAGE_SIZE + x] as number) < 128

/** Numbers that stand in the picture, read glyph by glyph. */
function readNumbers(p: MiniProblem): number[] {
  const found: { x: number; y: number; digit: string }[] = []
  for (let y = 0; y + FONT.height <= IMAGE_SIZE; y++) {
    for (let x = 0; x + FONT.width <= IMAGE_SIZE; x++) {
      for (let d = 0; d <= 9; d++) {
        const matches = (FONT.glyphs[d] as readonly string[]).every((row, dy) =>
          [...row].every((bit, dx) => isDark(p, x + dx, y + dy) === (bit === '1')),
        )
        if (matches) found.push({ x, y, digit: String(d) })
      }
    }
  }
  const numbers: number[] = []
  for (const start of found) {
    const behind = (at: { x: number; y: number }) => found.find((f) => f.y === at.y && f.x === at.x + FONT.width + 1)
    if (found.some((f) => behind(f) === start)) continue
    let text = start.digit
    for (let next = behind(start); next; next = behind(next)) text += next.digit
    numbers.push(Number(text))
  }
  return numbers
}

const labelled: Record<string, string[]> = {
  bars: [],
  angles: ['a', 'b'],
  areas: ['w1', 'h1', 'w2', 'h2'],
  balance: ['left', 'right'],
  table: ['K', 'L', 'M'],
}

test('numbers in the picture are the facts', () => {
  for (const p of all) {
    const keys = labelled[p.family]
    if (!keys) continue
    const numbers = readNumbers(p)
    for (const key of keys.length > 0 ? keys : Object.keys(p.facts)) {
      const value = p.facts[key] as number
      const at = numbers.indexOf(value)
      assert.ok(at >= 0, `${p.id}: ${key} = ${value} is not in the picture (${numbers})`)
      numbers.splice(at, 1)
    }
  }
})

test('shapes in the picture are the facts', () => {
  for (const p of all) {
    if (p.family === 'bars') {
      const values = Object.values(p.facts)
      values.forEach((value, i) => {
        const x = 24 + 16 * i
        let height = 0
        for (let y = 79; y > 0 && (p.pixels[y * IMAGE_SIZE + x] as number) < 200; y--) height++
        assert.is(height, value * 3, `${p.id}: bar ${i}`)
      })
    } else if (p.family === 'grid' || p.family === 'plain-grid') {
      for (const [x, y] of [[p.facts['ax'], p.facts['ay']], [p.facts['bx'], p.facts['by']]] as [number, number][]) {
        assert.ok(isDark(p, 12 + x * 8, 84 - y * 8), `${p.id}: point at ${x}, ${y}`)
      } // biome-ignore format: pairs
    } else if (p.family === 'clock' || p.family === 'bare-clock') {
      const at = (turn: number, r: number) =>
        isDark(p, Math.floor(48 + r * Math.sin(2 * Math.PI * turn)), Math.floor(48 - r * Math.cos(2 * Math.PI * turn)))
      const minute = p.facts['minute'] as number
      assert.ok(at(minute / 60, 15) && at(minute / 60, 26), `${p.id}: minute hand`)
      assert.ok(at(((p.facts['hour'] as number) + minute / 60) / 12, 14), `${p.id}: hour hand`)
    } else if (p.family === 'number-line') {
      const most = { 1: 10, 2: 15, 3: 20 }[p.level]
      const x = Math.round(8 + (80 * (p.facts['start'] as number)) / most)
      assert.ok(
        [x - 1, x, x + 1].some((c) => isDark(p, c, 50)),
        `${p.id}: mark`,
      )
    }
  }
})

/** The answer from the facts alone, by other arithmetic than the family's plan. */
const independent: Record<string, (p: MiniProblem) => number | string | undefined> = {
  areas: ({ facts: f }) => (f['w1'] as number) * (f['h1'] as number) + (f['w2'] as number) * (f['h2'] as number),
  angles: ({ facts: f, question }) =>
    (/exterior|outer/.test(question) ? 0 : 180) +
    (/exterior|outer/.test(question) ? 1 : -1) * ((f['a'] as number) + (f['b'] as number)),
  balance: ({ facts: f }) => ((f['right'] as number) - (f['left'] as number)) / (f['boxes'] as number),
  table: ({ facts: f }) => (f['K'] as number) + (f['L'] as number) + (f['M'] as number),
  clock: ({ facts: f, question }) => {
    const total = (f['hour'] as number) * 60 + (f['minute'] as number) + Number(/\d+/.exec(question)?.[0])
    const hour = Math.floor(total / 60) % 12 || 12
    return `${hour}:${String(total % 60).padStart(2, '0')}`
  },
  grid: ({ facts: f, question }) => {
    const [dx, dy] = [Math.abs((f['ax'] as number) - (f['bx'] as number)), Math.abs((f['ay'] as number) - (f['by'] as number))]
    return /path|Walk/.test(question) ? dx + dy : dx
  },
  'number-line': ({ facts: f, question }) =>
    (f['start'] as number) + (question.match(/\d+/g) ?? []).reduce((sum, n) => sum + Number(n), 0),
  bars: ({ facts: f, question }) => {
    const named = [...question.matchAll(/\b[Bb]ars? ([A-E])(?: and (?:bar )?([A-E]))?/g)]
      .flatMap((m) => [m[1], m[2]])
      .filter((n) => n !== undefined)
    const [a, b, c] = named.map((n) => f[n] as number)
    if (/sum|Add bar/.test(question)) return (a as number) + (b as number)
    return (a as number) - (b as number) + (c ?? 0)
  },
}

test('the answer follows from the facts, and every step of the solution is true arithmetic', () => {
  for (const p of all) {
    assert.is(p.answer, String(independent[p.family.replace(/^(?:bare|plain)-/, '')]?.(p)), `${p.id}: ${p.question}`)
    for (const { text } of p.steps) {
      const m = /(\d+) ([-+*/]) (\d+) = (\d+)\.$/.exec(text)
      if (!m) continue
      const [a, b, c] = [m[1], m[3], m[4]].map(Number) as [number, number, number]
      assert.is({ '+': a + b, '-': a - b, '*': a * b, '/': a / b }[m[2] as '+'], c, `${p.id}: ${text}`)
    }
  }
})

test('the same seed gives the same pixels, another seed others', () => {
  const hash = createHash('sha256')
  for (const p of all)
    hash
      .update(p.id)
      .update(p.question)
      .update(solutionText(writtenSolution(p)))
      .update(p.pixels)
  const again = createHash('sha256')
  for (const p of all) {
    const same = makeProblem(findFamily(p.family), 'test', Number(p.id.split('/')[2]))
    again
      .update(same.id)
      .update(same.question)
      .update(solutionText(writtenSolution(same)))
      .update(same.pixels)
  }
  assert.is(again.digest('hex'), hash.digest('hex'))
  assert.not.equal(makeProblem(FAMILIES[0] as never, 1, 0).pixels, makeProblem(FAMILIES[0] as never, 2, 0).pixels)
})

test('train and test share no picture, whatever the seed, and every family has both at every level', () => {
  const pixels = (p: MiniProblem) => `${p.family} ${Buffer.from(p.pixels).toString('base64')}`
  for (const family of FAMILIES) {
    for (const level of [1, 2, 3] as const) {
      const of = (part: Part) => Array.from({ length: 60 }, (_, i) => makeProblem(family, part, i, { part, levels: [level] }))
      const [train, tested] = [of('train'), of('test')]
      for (const p of [...train, ...tested]) assert.is(p.level, level)
      const seen = new Set(train.map(pixels))
      assert.not.ok(tested.some((p) => seen.has(pixels(p))), `${family.name}, level ${level}`) // biome-ignore format: short
      for (const [part, problems] of Object.entries({ train, test: tested })) {
        for (const p of problems) assert.is(partOf(p.family, p.facts), part)
      }
    }
    const drawn = Array.from({ length: 400 }, (_, i) => makeProblem(family, 'share', i))
    const share = drawn.filter((p) => partOf(p.family, p.facts) === 'test').length / drawn.length
    assert.ok(share > 0.1 && share < 0.32, `${family.name}: ${share} of the problems are about test pictures`)
  }
})

test('problems vary in picture, words and length', () => {
  for (const family of FAMILIES) {
    const mine = all.filter((p) => p.family === family.name)
    assert.ok(new Set(mine.map((p) => Buffer.from(p.pixels).toString('base64'))).size > 15, `${family.name}: pictures`)
    assert.ok(
      new Set(mine.map((p) => p.question)).size > 1 && new Set(mine.map((p) => p.steps[0]?.text.replace(/\d+/g, '#'))).size > 1,
      `${family.name}: words`,
    )
  }
  assert.is(OUT_OF_DOMAIN.length, 4)
  assert.is([...makeProblems(FAMILIES, 0, 20)].filter((p) => p.family === 'bars').length, 2)
})

test('the truth about steps', () => {
  for (const p of all) {
    const right = p.steps.map((s) => s.text)
    assert.ok(checkSteps(p, right, p.answer).every(Boolean), `${p.id}: the worked solution is right`)
    for (let i = 0; i < right.length; i++) {
      const wrong = right.map((s, j) => (j === i ? s.replace(/\d+(?=\D*$)/, (n) => String(Number(n) + 1)) : s))
      const verdicts = checkSteps(p, wrong, p.answer)
      assert.is(verdicts.indexOf(false), i, `${p.id}: first error`)
      assert.ok(
        verdicts.slice(i).every((v) => !v),
        `${p.id}: nothing is right behind an error`,
      )
    }
    assert.equal(checkSteps(p, ['I do not know'], '0'), [false, false])
  }
})

test('a written mistake goes wrong at the step it names, and is written as often as its family says', () => {
  for (const family of FAMILIES) {
    const problems = Array.from({ length: 400 }, (_, i) => makeProblem(family, 'mistakes', i))
    const mistaken = problems.filter((p) => p.mistake)
    let written = 0
    for (const p of mistaken) {
      const { at, steps, answer } = p.mistake as NonNullable<typeof p.mistake>
      const isLucky = p.answer === '90' && /exterior|outer/.test(p.question)
      assert.is(answer === p.answer, isLucky, p.id)
      const path = [...p.steps.slice(0, at), ...steps].map((s) => s.text)
      assert.is(checkSteps(p, path, answer).indexOf(false), at, `${p.id}: first error`)
      const solution = writtenSolution(p)
      if (solution.steps.join() !== path.join())
        assert.equal(solution.steps, p.steps.map((s) => s.text)) // biome-ignore format: short
      else {
        written++
        assert.equal(solution, { steps: path, answer })
      }
    }
    const expected = family.mistakeRate * mistaken.length
    assert.ok(Math.abs(written - expected) <= 4 * Math.sqrt(expected + 1), `${family.name}: ${written} of ${mistaken.length}`)
    assert.ok(
      /^(?:table|number-line)$/.test(family.name) ? mistaken.length === 0 : mistaken.length > 100,
      `${family.name}: ${mistaken.length} mistakes`,
    )
  }
})

test('an unknown family is named with the nearest', () => {
  assert.throws(
    () => findFamily('barss'),
    (e: unknown) => e instanceof EngineError && /did you mean "bars"/.test(e.message),
  )
})

test.run()

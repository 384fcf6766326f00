import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Counts, TreeNode } from '../../../ts/contracts/records.ts'
import { linear } from '../../../ts/report/charts.ts'
import { histogram, imageHtml, intervals, lines, page, scoredStepsHtml, tableHtml, treeHtml } from '../../../ts/report/index.ts'

const counts = (correct: number, total: number): Counts => ({ correct, total, unparsed: 1, truncated: 2 })
const node = (steps: string[], c: Counts | null, children: TreeNode[] = [], firstError = false): TreeNode => ({
  steps,
  counts: c,
  firstError,
  terminal: false,
  visits: 0,
  rollouts: [],
  children,
})
const hostile = '<script>alert("1")</script>'

test('nothing in a page comes from elsewhere, and hostile text stays text', () => {
  const tree = treeHtml({
    problem: { id: hostile, question: hostile, answer: hostile, image: hostile },
    root: node([], counts(1, 2), [node([hostile], counts(0, 4), [], true)]),
  })
  const html = page(hostile, hostile, [
    { title: hostile, note: hostile, html: tree },
    { title: 'charts', html: histogram([1, 2, 0], hostile) + lines([{ name: hostile, points: [[0, 1], [1, 2]] }], hostile) + intervals([{ name: hostile, value: 0.5, low: 0.4, high: 0.6 }], 'x') }, // biome-ignore format: short
    { title: 'table', html: tableHtml([[hostile], [hostile]]) + scoredStepsHtml([{ text: hostile, score: 0.5 }]) },
  ])
  assert.not.ok(html.includes('<script'))
  assert.not.ok(/(?:src|href)="https?:/.test(html))
  assert.ok(html.includes('first error') && html.includes('--p:0.500') && html.includes('1 unparsed, 2 truncated'))
})

test('a node without judged rollouts shows no value', () => {
  const html = treeHtml({
    problem: { id: 'a', question: 'q', answer: '1' },
    root: node([], { correct: 0, total: 0, unparsed: 3, truncated: 0 }),
  })
  assert.ok(html.includes('class="mc none"'))
})

test('large trees are cut and say so', () => {
  const html = treeHtml({
    problem: { id: 'a', question: 'q', answer: '1' },
    root: node(
      [],
      counts(1, 2),
      Array.from({ length: 1000 }, (_, i) => node([`${i}`], counts(1, 2))),
    ),
  })
  assert.match(html, /601 more branches/)
})

test('pictures are embedded by their type', () => {
  assert.match(imageHtml(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')), /data:image\/png;base64,iVBORw0KGgo=/)
  assert.match(imageHtml('/some/where.png'), /where\.png/)
  assert.is(imageHtml(undefined), '')
})

test('scales have round ticks that cover the range', () => {
  const scale = linear(0.13, 0.92, 0, 100)
  assert.equal(scale.ticks, [0, 0.2, 0.4, 0.6, 0.8, 1])
  assert.is(scale(0), 0)
  assert.is(scale(1), 100)
  assert.ok(linear(3, 3, 0, 1).ticks.every(Number.isFinite))
})

test('no line ends within an interval', () => {
  const text = tableHtml([['choice'], ['4.2–10.4 (0.0–12.5)'], ['−2.1 (−6.3 to +0.0)'], ['+23.6 to +34.7']])
  assert.ok(text.includes('4.2\u2060–\u206010.4 (0.0\u2060–\u206012.5)'), text)
  assert.ok(text.includes('−2.1 (−6.3\u00a0to\u00a0+0.0)'), text)
  assert.ok(text.includes('>+23.6\u00a0to\u00a0+34.7<'), text)
})

test.run()

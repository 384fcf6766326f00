/** Small charts as SVG: histogram, lines, points with intervals. */
import { escapeHtml } from './html.ts'

const [WIDTH, HEIGHT] = [640, 240]
const MARGIN = { left: 48, right: 12, top: 12, bottom: 34 }
/** Beside the plot, for the names of lines. */
const LEGEND = 110
const COLOURS = ['var(--accent)', 'var(--good)', 'var(--bad)', 'var(--soft)']

interface Scale {
  (value: number): number
  ticks: number[]
}

/** Round ticks that cover the range. */
export function linear(low: number, high: number, from: number, to: number): Scale {
  const span = high - low || 1
  const rough = span / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) as number
  const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)]
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
  const [a, b] = [ticks[0] as number, ticks.at(-1) as number]
  const scale = (value: number) => from + ((value - a) / (b - a || 1)) * (to - from)
  return Object.assign(scale, { ticks })
}

const f = (n: number) => n.toFixed(1)
const text = (x: number, y: number, content: string, anchor: string, soft = true) =>
  `<text${soft ? ' class="soft"' : ''} x="${f(x)}" y="${f(y)}" text-anchor="${anchor}">${escapeHtml(content)}</text>`

function frame(content: string, yScale: Scale, xLabel: string, label: string, width = WIDTH): string {
  const grid = yScale.ticks
    .map(
      (t) =>
        `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${f(yScale(t))}" y2="${f(yScale(t))}" stroke="var(--line)"/>${text(MARGIN.left - 6, yScale(t) + 4, String(t), 'end')}`,
    )
    .join('')
  return `<svg viewBox="0 0 ${width} ${HEIGHT}" width="${width}" role="img" aria-label="${escapeHtml(label)}">${grid}${content}${text((WIDTH + MARGIN.left) / 2, HEIGHT - 4, xLabel, 'middle')}</svg>`
}

const [LEFT, RIGHT, TOP, BOTTOM] = [MARGIN.left, WIDTH - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom]

/** Counts of equal bins over [0, 1]. */
export function histogram(counts: readonly number[], xLabel: string): string {
  const y = linear(0, Math.max(1, ...counts), BOTTOM, TOP)
  const width = (RIGHT - LEFT) / counts.length
  const bars = counts.map((n, i) => {
    const x = LEFT + i * width
    const title = `<title>${i / counts.length} to ${(i + 1) / counts.length}: ${n}</title>`
    return `<rect x="${f(x + 1)}" width="${f(width - 2)}" y="${f(y(n))}" height="${f(BOTTOM - y(n))}" fill="var(--accent)">${title}</rect>${text(x, BOTTOM + 14, (i / counts.length).toFixed(1), 'middle')}`
  })
  return frame(bars.join(''), y, xLabel, `histogram of ${xLabel}`)
}

export interface Line {
  name: string
  points: readonly (readonly [x: number, y: number])[]
}

export function lines(all: readonly Line[], xLabel: string): string {
  const points = all.flatMap((l) => l.points)
  if (points.length === 0) return '<p>no points</p>'
  const range = (axis: 0 | 1) => [Math.min(...points.map((p) => p[axis])), Math.max(...points.map((p) => p[axis]))] as const
  const x = linear(...range(0), LEFT, RIGHT)
  const [low, high] = range(1)
  const y = linear(low, high > low ? high : low + 1, BOTTOM, TOP)
  const paths = all.map((l, i) => {
    const d = l.points.map(([px, py], j) => `${j === 0 ? 'M' : 'L'}${f(x(px))} ${f(y(py))}`).join('')
    const legend = `<text x="${RIGHT + 10}" y="${TOP + 18 * (i + 1)}" style="fill:${COLOURS[i % COLOURS.length]}">${escapeHtml(l.name)}</text>`
    return `<path d="${d}" fill="none" stroke="${COLOURS[i % COLOURS.length]}" stroke-width="2"/>${legend}`
  })
  const ticks = x.ticks.map((t) => text(x(t), BOTTOM + 14, String(t), 'middle'))
  return frame(paths.join('') + ticks.join(''), y, xLabel, all.map((l) => l.name).join(', '), WIDTH + LEGEND)
}

export interface IntervalPoint {
  name: string
  value: number
  low: number
  high: number
}

/** One row per choice: its value with its interval, in percent, from left to right. */
export function intervals(points: readonly IntervalPoint[], xLabel: string): string {
  const row = 22
  const left = 150
  const height = points.length * row + 46
  const low = Math.floor(Math.min(...points.map((p) => p.low)) * 10) / 10
  const high = Math.ceil(Math.max(...points.map((p) => p.high)) * 10) / 10
  const x = linear(low, high > low ? high : low + 0.1, left, RIGHT - 40)
  const grid = x.ticks.map(
    (t) =>
      `<line x1="${f(x(t))}" x2="${f(x(t))}" y1="6" y2="${height - 36}" stroke="var(--line)"/>${text(x(t), height - 20, `${Math.round(t * 100)}`, 'middle')}`,
  )
  const rows = points.map((p, i) => {
    const y = 16 + i * row
    const value = text(RIGHT, y + 4, (100 * p.value).toFixed(1), 'end', false)
    return `${text(left - 8, y + 4, p.name, 'end', false)}<line x1="${f(x(p.low))}" x2="${f(x(p.high))}" y1="${y}" y2="${y}" stroke="var(--accent)" stroke-width="2"/><circle cx="${f(x(p.value))}" cy="${y}" r="4.5" fill="var(--accent)"/>${value}`
  })
  return `<svg viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" role="img" aria-label="${escapeHtml(xLabel)}">${grid.join('')}${rows.join('')}${text((left + RIGHT) / 2, height - 4, xLabel, 'middle')}</svg>`
}

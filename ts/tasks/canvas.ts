/**
 * A grey picture and the few shapes that the mini tasks need, anti-aliased by distance. Own code and own font:
 * system fonts and renderers differ, and the same seed must give the same pixels everywhere.
 */
import { FONT } from './font.ts'

const ADVANCE = FONT.width + 1

export type Point = readonly [x: number, y: number]

export class Canvas {
  readonly width: number
  readonly height: number
  /** Ink: 0 paper to 1 black. */
  readonly #ink: Float32Array

  constructor(width: number, height: number) {
    this.width = width
    this.height = height
    this.#ink = new Float32Array(width * height)
  }

  /** Lays ink over a pixel; outside the picture nothing happens. */
  #blend(x: number, y: number, amount: number, ink: number): void {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height || amount <= 0) return
    const at = y * this.width + x
    const old = this.#ink[at] as number
    this.#ink[at] = old + (ink - old) * Math.min(1, amount)
  }

  /** Fills where `distance` (pixels, negative inside) is below zero, with one pixel of soft edge. */
  #fill(box: [number, number, number, number], distance: (x: number, y: number) => number, ink: number): void {
    const [left, top, right, bottom] = box
    for (let y = Math.floor(top) - 1; y <= Math.ceil(bottom) + 1; y++) {
      for (let x = Math.floor(left) - 1; x <= Math.ceil(right) + 1; x++) this.#blend(x, y, 0.5 - distance(x + 0.5, y + 0.5), ink)
    }
  }

  line([x0, y0]: Point, [x1, y1]: Point, thickness = 1, ink = 1): void {
    const [dx, dy] = [x1 - x0, y1 - y0]
    const length2 = dx * dx + dy * dy || 1
    const half = thickness / 2
    const distance = (x: number, y: number) => {
      const t = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / length2))
      return Math.hypot(x - x0 - t * dx, y - y0 - t * dy) - half
    }
    this.#fill(
      [Math.min(x0, x1) - half, Math.min(y0, y1) - half, Math.max(x0, x1) + half, Math.max(y0, y1) + half],
      distance,
      ink,
    )
  }

  polyline(points: readonly Point[], closed = false, thickness = 1, ink = 1): void {
    for (let i = 1; i < points.length; i++) this.line(points[i - 1] as Point, points[i] as Point, thickness, ink)
    if (closed) this.line(points.at(-1) as Point, points[0] as Point, thickness, ink)
  }

  /** Corners lie on pixel edges: whole numbers give sharp sides. */
  rectangle([left, top]: Point, [right, bottom]: Point, ink = 1): void {
    this.#fill([left, top, right, bottom], (x, y) => Math.max(left - x, x - right, top - y, y - bottom), ink)
  }

  disc([cx, cy]: Point, radius: number, ink = 1): void {
    this.#fill([cx - radius, cy - radius, cx + radius, cy + radius], (x, y) => Math.hypot(x - cx, y - cy) - radius, ink)
  }

  circle([cx, cy]: Point, radius: number, thickness = 1, ink = 1): void {
    const outer = radius + thickness
    this.#fill(
      [cx - outer, cy - outer, cx + outer, cy + outer],
      (x, y) => Math.abs(Math.hypot(x - cx, y - cy) - radius) - thickness / 2,
      ink,
    )
  }

  /** Width of a text in pixels. */
  textWidth(text: string): number {
    return text.length * ADVANCE - 1
  }

  /** Text centred at a point, on whole pixels; `paper` clears the box behind it, so that lines do not cross it. */
  text(text: string, [cx, cy]: Point, { ink = 1, paper = true } = {}): void {
    const left = Math.round(cx - this.textWidth(text) / 2)
    const top = Math.round(cy - FONT.height / 2)
    if (paper) {
      for (let y = -1; y <= FONT.height; y++)
        for (let x = -1; x <= this.textWidth(text); x++) this.#blend(left + x, top + y, 1, 0)
    }
    ;[...text].forEach((char, i) => {
      const glyph = FONT.glyphs[char]
      if (!glyph) throw new RangeError(`the font has no "${char}"`)
      glyph.forEach((row, y) => {
        for (let x = 0; x < FONT.width; x++) if (row[x] === '1') this.#blend(left + i * ADVANCE + x, top + y, 1, ink)
      })
    })
  }

  /** Grey bytes, row by row: 255 paper, 0 black. */
  pixels(): Uint8Array {
    return Uint8Array.from(this.#ink, (ink) => Math.round(255 * (1 - ink)))
  }
}

/** CMYK as Pillow converts it, without colour management. */
import { setImmediate } from 'node:timers/promises'

/** Pixels between two breaths: a few milliseconds of work. */
const AT_ONCE = 2 ** 20

/** [pixels, 4] to [pixels, 3]: R = n - C * n / 255 with n = 255 - K, rounded. */
export async function cmykToRgb(cmyk: Uint8Array): Promise<Uint8Array> {
  const pixels = cmyk.length / 4
  const rgb = new Uint8Array(3 * pixels)
  for (let from = 0; from < pixels; from += AT_ONCE) {
    convert(cmyk, rgb, from, Math.min(pixels, from + AT_ONCE))
    await setImmediate()
  }
  return rgb
}

function convert(cmyk: Uint8Array, rgb: Uint8Array, from: number, to: number): void {
  for (let p = from; p < to; p++) {
    const n = 255 - (cmyk[4 * p + 3] as number)
    for (let c = 0; c < 3; c++) {
      const product = (cmyk[4 * p + c] as number) * n + 128 // / 255, rounded, without dividing
      rgb[3 * p + c] = n - ((product + (product >> 8)) >> 8)
    }
  }
}

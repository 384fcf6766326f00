/** Damage to a file as disks and people do it, the same for the same seed. */
import { seededRandom } from '../../ts/contracts/random.ts'

/** Cut short, bytes changed, a page wiped, the header and a stretch overwritten. */
export function damaged(original: Buffer, seed: number): Buffer {
  const random = seededRandom(`damage/${seed}`)
  const below = (n: number) => Math.floor(random() * n)
  const bytes = Buffer.from(original)
  switch (seed % 4) {
    case 0:
      return bytes.subarray(0, below(bytes.length))
    case 1:
      for (let i = 0; i <= below(8); i++) bytes[below(bytes.length)] = below(256)
      return bytes
    case 2: {
      const page = below(Math.floor(bytes.length / 4096)) * 4096
      return bytes.fill(below(256), page, page + 4096)
    }
    default: {
      bytes[below(200)] = below(256)
      const at = below(bytes.length - 64)
      for (let i = 0; i < 64; i++) bytes[at + i] = below(256)
      return bytes
    }
  }
}

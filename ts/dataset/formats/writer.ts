/** Where samples of one split go. */
import type { Sample } from '../sample.ts'

export interface SampleWriter {
  write(sample: Sample): Promise<void>
  /** Makes the file durable and gives its path, size and SHA-256. */
  close(): Promise<{ file: string; bytes: number; sha256: string }>
}

/** Opens `<base>.<extension of the format>`. Throws STORE where it cannot be written. */
export type OpenWriter = (base: string) => Promise<SampleWriter>

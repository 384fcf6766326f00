/** Records as compressed bytes: a rollout is a third of its JSON, and nobody asks SQL for its text. */
import * as zlib from 'node:zlib'
import { storeError } from '../../contracts/errors.ts'

type Codec = 'zstd' | 'gzip'

/** Node has zstd from 22.15 on. */
const zstd = zlib as unknown as Partial<Record<'zstdCompressSync' | 'zstdDecompressSync', (bytes: Buffer) => Buffer>>

export function pack(value: unknown): { codec: Codec; bytes: Buffer } {
  const json = Buffer.from(JSON.stringify(value))
  if (zstd.zstdCompressSync) return { codec: 'zstd', bytes: zstd.zstdCompressSync(json) }
  return { codec: 'gzip', bytes: zlib.gzipSync(json) }
}

/** @throws EngineError STORE where this Node lacks the codec; Error where the bytes are damaged */
export function unpack<T>(codec: unknown, bytes: unknown): T {
  if (codec === 'zstd' && !zstd.zstdDecompressSync)
    throw storeError('this run was written with zstd, which Node has from 22.15 on')
  const json = codec === 'zstd' ? zstd.zstdDecompressSync?.(bytes as Buffer) : zlib.gunzipSync(bytes as Buffer)
  return JSON.parse(String(json)) as T
}

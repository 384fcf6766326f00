/** How a server is started. */
import { z } from 'zod'
import type { Engine } from '../engine/engine.ts'

const MIB = 2 ** 20
const engine = z.custom<Engine>(
  (value) => typeof value === 'object' && value !== null && 'generate' in value,
  'must be an open engine',
)

export const serveSchema = z.strictObject({
  /** What writes; without it the interfaces that write are absent. */
  policy: engine.optional(),
  /** What scores steps. */
  prm: engine.optional(),
  /** A step that scores less is taken for wrong; default: what the checkpoint of `prm` records. */
  threshold: z.number().gt(0).lt(1).optional(),
  host: z.string().min(1).default('127.0.0.1'),
  /** 0: a free one. */
  port: z.number().int().min(0).max(65_535).default(0),
  /** Any of these lets a client in; everyone is where there is none. */
  apiKeys: z.array(z.string().min(1)).default([]),
  /** Origins whose pages may read answers; `*` for all. */
  cors: z.array(z.string().min(1)).default([]),
  /** Requests worked on at once, waiting ones included; further ones are answered with 429. */
  maxRequests: z.number().int().positive().default(256),
  /** Of one request's body. */
  maxBodyBytes: z
    .number()
    .int()
    .positive()
    .default(32 * MIB),
  /** For the bodies of all requests together. */
  maxBodiesBytes: z
    .number()
    .int()
    .positive()
    .default(512 * MIB),
  /** For the requests under way when the server is stopped; what has not ended then is cut. */
  drainSeconds: z.number().nonnegative().default(60),
  /** What a failure of the server's own is told to. */
  onError: z.custom<(error: unknown) => void>((f) => typeof f === 'function', 'must be a function').optional(),
})

export type ServeOptions = z.input<typeof serveSchema>
export type ServeSettings = z.output<typeof serveSchema>

/** The HTTP side: who is let in, how large, how much at once; what each address answers. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { z } from 'zod'
import { validate } from '../contracts/validate.ts'
import type { Engine } from '../engine/engine.ts'
import { corsHeaders, keyChecker } from './access.ts'
import { readBody } from './body.ts'
import { HttpFault, told } from './faults.ts'
import { Gate } from './gate.ts'
import { Metrics } from './metrics.ts'
import { openApi } from './openapi.ts'
import type { ServeSettings } from './options.ts'
import { chatSchema, classifySchema, completionSchema, poolingSchema, scoreSchema } from './requests.ts'
import { classify, pooling, type ScoreWork, scoreSteps } from './scores.ts'
import { EventStream } from './sse.ts'
import { answer, chatJob, completionJob, tell } from './writers.ts'

/** For a request to arrive whole: a picture over a slow line, not a byte a minute. */
const ARRIVAL_MS = 120_000
/** Counted where the client did not wait for the whole of its answer. */
const GONE = 499
const VERSION = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version

type Handler = (body: unknown, signal: AbortSignal, reply: FastifyReply) => Promise<object | undefined>

export class App {
  readonly http: FastifyInstance
  readonly #settings: ServeSettings
  readonly #metrics = new Metrics()
  readonly #gate: Gate
  readonly #running = new Set<AbortController>()
  readonly #began = Math.floor(Date.now() / 1000)

  constructor(settings: ServeSettings) {
    this.#settings = settings
    this.#gate = new Gate(settings.maxRequests, settings.maxBodiesBytes)
    this.http = fastify({
      bodyLimit: settings.maxBodyBytes,
      requestTimeout: ARRIVAL_MS,
      forceCloseConnections: 'idle',
      // Keys of clients' objects are never copied into our own.
      onProtoPoisoning: 'ignore',
      return503OnClosing: true,
    })
    this.#admit()
    this.#readBodies()
    this.#routes()
  }

  /** Ends what is still being worked on. */
  abort(): void {
    for (const controller of this.#running) controller.abort(new Error('the server stops'))
  }

  #admit(): void {
    const { cors, apiKeys, maxBodyBytes } = this.#settings
    const check = keyChecker(apiKeys)
    this.http.addHook('onRequest', async (request, reply) => {
      const began = performance.now()
      const { origin, 'access-control-request-headers': asked } = request.headers
      reply.headers(corsHeaders(cors, origin, asked))
      reply.raw.once('close', () => {
        const route = request.routeOptions.url ?? 'none'
        const status = reply.raw.writableFinished ? reply.raw.statusCode : GONE
        this.#metrics.answered(route, status, (performance.now() - began) / 1000)
      })
      if (request.method === 'OPTIONS' && cors.length > 0) return reply.code(204).send()
      if (request.routeOptions.url !== '/health') check(request.headers.authorization)
      if (request.method !== 'POST') return
      const length = Number(request.headers['content-length'] ?? maxBodyBytes)
      if (length > maxBodyBytes)
        throw new HttpFault(413, `the body has ${length} bytes; at most ${maxBodyBytes} are taken`, { connection: 'close' })
      reply.raw.once('close', this.#gate.enter(length))
    })
    this.http.setErrorHandler((error, _, reply) => this.#refuse(error, reply))
    this.http.setNotFoundHandler((request, reply) =>
      this.#refuse(
        new HttpFault(404, `there is no ${request.method} ${request.url.slice(0, 100)} here; /openapi.json lists what there is`),
        reply,
      ),
    )
  }

  #refuse(error: unknown, reply: FastifyReply): FastifyReply {
    const { status, headers, body, isOurs } = told(error)
    if (isOurs) this.#settings.onError?.(error)
    return reply.code(status).headers(headers).send(body)
  }

  #readBodies(): void {
    this.http.removeAllContentTypeParsers()
    this.http.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: FastifyRequest, bytes: Buffer) =>
      readBody(bytes),
    )
  }

  #post(path: string, handle: Handler): void {
    this.http.post(path, async (request, reply) => {
      const controller = new AbortController()
      this.#running.add(controller)
      reply.raw.once('close', () => {
        this.#running.delete(controller)
        if (!reply.raw.writableFinished) controller.abort(new Error('the client has gone'))
      })
      const answered = await handle(request.body ?? {}, controller.signal, reply)
      return answered ?? reply
    })
  }

  #routes(): void {
    const { policy, prm } = this.#settings
    this.#writes('/v1/chat/completions', chatSchema, policy, chatJob)
    this.#writes('/v1/completions', completionSchema, policy, completionJob)
    this.#scores('/v1/score/steps', scoreSchema, (body, work) => scoreSteps(body, work))
    for (const prefix of ['', '/v1']) {
      this.#scores(`${prefix}/pooling`, poolingSchema, (body, work) => pooling(body, nameOf(work.engine), work))
      this.#scores(`${prefix}/classify`, classifySchema, (body, work) => classify(body, nameOf(work.engine), work))
    }
    const models = this.#models()
    this.http.get('/v1/models', async () => ({ object: 'list', data: models }))
    this.http.get('/v1/models/*', async (request) => {
      const { '*': name } = request.params as { '*': string }
      return models.find(({ id }) => id === name) ?? models[0]
    })
    this.http.get('/health', async () => ({ status: 'ok' }))
    const engines = { ...(policy && { policy }), ...(prm && { prm }) }
    this.http.get('/metrics', async (_, reply) =>
      reply.type('text/plain; version=0.0.4; charset=utf-8').send(this.#metrics.text(engines, this.#gate.requests)),
    )
    const description = openApi(VERSION)
    this.http.get('/openapi.json', async () => description)
  }

  #writes<S extends z.ZodObject>(
    path: string,
    schema: S,
    engine: Engine | undefined,
    toJob: (body: z.output<S>, work: Work) => Job,
  ): void {
    if (!engine) {
      this.#absent(path, 'no policy: start it with --model DIR')
      return
    }
    this.#post(path, async (given, signal, reply) => {
      const body = validate(schema, given, path)
      const work = { engine, model: nameOf(engine), metrics: this.#metrics, signal }
      const job = toJob(body, work)
      if (!body['stream']) return answer(job, work)
      reply.hijack()
      const options = body['stream_options'] as { include_usage?: boolean } | undefined
      await this.#stream(job, work, reply, options?.include_usage === true)
      return undefined
    })
  }

  /** What fails before the first event is an answer with a status; later it is an event. */
  async #stream(job: Job, work: Work, reply: FastifyReply, withUsage: boolean): Promise<void> {
    const out = new EventStream(reply.raw, reply.getHeaders() as Record<string, string>, work.signal)
    try {
      await tell(job, work, out, withUsage)
      await out.send('[DONE]')
    } catch (error) {
      const { status, headers, body, isOurs } = told(error)
      if (isOurs) this.#settings.onError?.(error)
      if (!out.hasBegun) return out.refuse(status, headers, body)
      if (!reply.raw.destroyed && !work.signal.aborted) await out.send(body)
    }
    out.end()
  }

  #scores<S extends z.ZodObject>(path: string, schema: S, score: (body: z.output<S>, work: ScoreWork) => Promise<object>): void {
    const { prm } = this.#settings
    const threshold = this.#threshold()
    if (prm) this.#post(path, async (given, signal) => score(validate(schema, given, path), { engine: prm, threshold, signal }))
    else this.#absent(path, 'no process reward model: start it with --prm DIR')
  }

  #absent(path: string, why: string): void {
    this.http.post(path, async () => {
      throw new HttpFault(404, `this server has ${why}`)
    })
  }

  /** Below which score a step is taken for wrong, where that is known. */
  #threshold(): number | undefined {
    return this.#settings.threshold ?? this.#settings.prm?.stepThreshold()
  }

  #models() {
    const { policy, prm } = this.#settings
    const threshold = this.#threshold()
    const entry = (engine: Engine, more: object) => ({
      id: nameOf(engine),
      object: 'model',
      created: this.#began,
      owned_by: 'mm-prm',
      max_model_len: engine.info().decoder.maxPositions,
      identity: engine.identity(),
      ...more,
    })
    return [
      ...(policy ? [entry(policy, { part: 'policy' })] : []),
      ...(prm ? [entry(prm, { part: 'prm', scorer: `${prm.info().scoring}@${prm.identity()}`, threshold })] : []),
    ]
  }
}

type Job = Parameters<typeof answer>[0]
type Work = Parameters<typeof answer>[1]

/** The folder's own name: a path is no one's business. */
const nameOf = (engine: Engine) => basename(engine.info().model)

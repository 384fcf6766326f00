/** One JSON request: bounded in time and size, strict about UTF-8, abortable. Knows nothing of what is sent. */
import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { Outage } from '../contracts/errors.ts'

export interface HttpAnswer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: string
}

export interface PostOptions {
  headers: Readonly<Record<string, string>>
  /** From the first byte sent to the last byte read. */
  timeoutMs: number
  maxBytes: number
  signal?: AbortSignal | undefined
}

/** Rejects with an Error that says what happened: timed out, cut off, too large, not UTF-8; Outage: nobody was reached. */
export function postJson(url: URL, payload: unknown, options: PostOptions): Promise<HttpAnswer> {
  return exchange(url, 'POST', JSON.stringify(payload), options)
}

/** Likewise, without a body. */
export function getJson(url: URL, options: PostOptions): Promise<HttpAnswer> {
  return exchange(url, 'GET', undefined, options)
}

function exchange(url: URL, method: string, text: string | undefined, options: PostOptions): Promise<HttpAnswer> {
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const timeout = AbortSignal.timeout(options.timeoutMs)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const fault = timeout.aborted
        ? new Error(`no complete answer within ${options.timeoutMs / 1000} s`, { cause: error })
        : error
      reject(hasReached() ? fault : new Outage(fault.message, { cause: error }))
    }
    const type = text === undefined ? {} : { 'content-type': 'application/json' }
    const headers = { ...type, accept: 'application/json', ...options.headers }
    const request = send(url, { method, headers, signal }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('error', fail)
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > options.maxBytes) request.destroy(new Error(`the answer is larger than ${options.maxBytes >> 20} MiB`))
        else chunks.push(chunk)
      })
      response.on('aborted', () => fail(new Error('the connection was cut before the answer ended')))
      response.on('end', () => {
        try {
          const body = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body })
        } catch {
          fail(new Error('the answer is not valid UTF-8'))
        }
      })
    })
    const hasReached = reached(request, url)
    request.on('error', fail)
    request.end(text)
  })
}

/** Whether a request has had a connection that is ready for it. */
function reached(request: ClientRequest, { protocol }: URL): () => boolean {
  let isReady = false
  request.once('socket', (socket) => {
    if (request.reusedSocket) isReady = true
    else socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => (isReady = true))
  })
  return () => isReady
}

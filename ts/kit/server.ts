/** A model on an OpenAI-compatible server, as every opener takes it. */
import type { ClientOptions } from '../policy/openai-client.ts'

/** The URL up to and including `/v1`, with the model's name and the client's other options beside it; or all of them in one. */
export type ServerOptions = (Omit<ClientOptions, 'baseUrl'> & { server: string }) | { server: ClientOptions }

export function isServer<T extends object>(options: T): options is Extract<T, { server: unknown }> {
  return typeof options === 'object' && options !== null && 'server' in options
}

/** Several servers of one model: a policy's problems are spread over them. */
export type ServersOptions = Omit<ClientOptions, 'baseUrl'> & { server: string[] }

/** Whatever stands beside it, with the client's options as the client takes them. */
export function clientOptions<T extends ServerOptions | ServersOptions>({
  server,
  ...more
}: T): Omit<T, 'server'> & ClientOptions {
  return { ...more, ...(typeof server === 'string' || Array.isArray(server) ? { baseUrl: server } : server) } as Omit<
    T,
    'server'
  > &
    ClientOptions
}

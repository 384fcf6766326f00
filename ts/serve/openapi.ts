/** The server's description of itself, from the schemas that requests are checked with. */
import { z } from 'zod'
import { chatSchema, classifySchema, completionSchema, poolingSchema, scoreSchema } from './requests.ts'

const json = (schema: object) => ({ 'application/json': { schema } })
const bodyOf = (schema: z.ZodType) => {
  const { $schema: _, ...body } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return { required: true, content: json(body) }
}

const ERROR = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: { message: { type: 'string' }, type: { type: 'string' }, code: { type: ['string', 'integer', 'null'] } },
    },
  },
}
const RESPONSES = {
  '200': { description: 'The answer', content: json({ type: 'object' }) },
  '400': { description: 'The request is not one: the message says what would be', content: json(ERROR) },
  '401': { description: 'A key is needed', content: json(ERROR) },
  '413': { description: 'The body is too large', content: json(ERROR) },
  '404': { description: 'No such address, or no such model behind it', content: json(ERROR) },
  '429': { description: 'Too much at once: again after as many seconds as Retry-After says', content: json(ERROR) },
  '503': { description: 'The server stops, or has no room for this; Retry-After as above', content: json(ERROR) },
}

const post = (summary: string, schema: z.ZodType) => ({ post: { summary, requestBody: bodyOf(schema), responses: RESPONSES } })
const get = (summary: string) => ({ get: { summary, responses: { '200': { description: 'The answer' } } } })

/** Served with and without the version. */
const underBoth = (path: string, what: object) => ({ [path]: what, [`/v1${path}`]: what })

export function openApi(version: string): object {
  return {
    openapi: '3.1.0',
    info: { title: 'mm-prm', version, description: 'Solutions and their step scores. Pictures are data URIs.' },
    security: [{ bearer: [] }],
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    paths: {
      '/v1/chat/completions': post('Answers to a conversation', chatSchema),
      '/v1/completions': post('Continuations of prompts', completionSchema),
      '/v1/score/steps': post('One score per step, in [0, 1]', scoreSchema),
      ...underBoth(
        '/pooling',
        post('Per input the steps’ [against, for], as vLLM’s process reward models give them', poolingSchema),
      ),
      ...underBoth('/classify', post('Per input the class of its last step', classifySchema)),
      '/v1/models': get('What is loaded'),
      '/v1/models/{model}': get('What is loaded, by any name'),
      '/health': get('Whether the server takes requests; needs no key'),
      '/metrics': get('Counters in Prometheus’ text format'),
      '/openapi.json': get('This description'),
    },
  }
}

/** Bodies of requests: JSON in valid UTF-8 that does not nest beyond reason. */
import { nestsDeeply } from '../contracts/json-depth.ts'
import { HttpFault } from './faults.ts'

/** Levels of a request; ours have six. */
const MAX_DEPTH = 32

/** @throws HttpFault 400 */
export function readBody(bytes: Buffer): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new HttpFault(400, 'the body is not valid UTF-8')
  }
  if (nestsDeeply(text, MAX_DEPTH)) throw new HttpFault(400, `the body nests more than ${MAX_DEPTH} levels`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new HttpFault(400, `the body is not JSON: ${(error as Error).message.slice(0, 200)}`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new HttpFault(400, 'the body must be a JSON object')
}

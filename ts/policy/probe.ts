/**
 * What a server takes, asked once before a run with a question of its own that costs a few tokens. Refusals are
 * worded in many ways, so what a refusal does not name is found out by leaving parameters out. A server that does not
 * answer tells nothing: the run will say what is wrong.
 */
import { throwIfAborted } from '../contracts/abort.ts'
import { invalidArgument } from '../contracts/errors.ts'
import { namedIn, optionsInstead, PARAMETER_NAMES, type Parameters } from './dialect.ts'
import { type ChatAnswer, type ChatClient, type ChatMessage, Fault, NO_SEED } from './openai-client.ts'

const QUESTION = 'Write forty random digits and nothing else.'
const CONTINUED = 'Here are forty random digits:'
const MAX_TOKENS = 48
const NUM_SAMPLES = 2
const MAX_WAIT_MS = 30_000
/** Shorter texts may be equal by chance. */
const MIN_LENGTH = 4

export interface Findings {
  /** Samples that the server gives per request, where it proved to give fewer than asked for. */
  readonly samplesPerRequest: number | undefined
  readonly warnings: readonly string[]
}

/** A Fault: refused, for whatever reason. undefined: not answered, or not by someone who had looked at the request. */
type Answer = ChatAnswer | Fault | undefined

interface Taken {
  readonly without: ReadonlySet<string>
  readonly answer: ChatAnswer
}

const tellsNothing = ({ status }: Fault) => [401, 403, 408, 409, 425, 429].includes(status) || status > 501

class Probe {
  readonly #client: ChatClient
  readonly #parameters: Parameters
  readonly #signal: AbortSignal | undefined

  constructor(client: ChatClient, parameters: Parameters, signal: AbortSignal | undefined) {
    this.#client = client
    this.#parameters = { ...parameters, n: NUM_SAMPLES, max_tokens: MAX_TOKENS, seed: 1, stop: ['</step>'] }
    this.#signal = signal
  }

  /** @param without parameters left out, or for the limit of tokens the other name taken */
  async ask(without: ReadonlySet<string>, seed = 1): Promise<Answer> {
    throwIfAborted(this.#signal)
    const parameters: Record<string, unknown> = { ...this.#parameters, seed }
    if (without.has('max_tokens')) parameters['max_completion_tokens'] = MAX_TOKENS
    const messages: ChatMessage[] = [{ role: 'user', content: QUESTION }]
    for (const name of without) delete parameters[name]
    if (without.has('continue_final_message')) delete parameters['add_generation_prompt']
    else if ('continue_final_message' in parameters) messages.push({ role: 'assistant', content: CONTINUED })
    try {
      return await this.#client.once({ messages, parameters, signal: this.#signal }, MAX_WAIT_MS)
    } catch (error) {
      throwIfAborted(this.#signal)
      return error instanceof Fault && !tellsNothing(error) ? error : undefined
    }
  }

  /** What the server takes no request with, and its answer to one without; undefined where it takes none, or is silent. */
  async refused(): Promise<Taken | undefined> {
    const without = new Set<string>()
    let answer = await this.ask(without)
    while (answer instanceof Fault) {
      const named = namedIn(answer.words, this.#parameters).filter((name) => !without.has(name))
      if (named.length === 0) break
      for (const name of named) without.add(name)
      answer = await this.ask(without)
    }
    if (answer instanceof Fault) answer = await this.#leaveOut(without)
    if (answer === undefined || answer instanceof Fault) return undefined
    return without.size > 1 ? this.#onlyNeeded({ without, answer }) : { without, answer }
  }

  /** Leaves out one after the other until the server takes the rest. */
  async #leaveOut(without: Set<string>): Promise<Answer> {
    const left = PARAMETER_NAMES.filter((name) => name in this.#parameters && !without.has(name))
    // WHY all at once first: where that does not help, the refusal is about something else.
    let answer = await this.ask(new Set([...without, ...left]))
    if (answer === undefined || answer instanceof Fault) return answer
    for (const name of left) {
      without.add(name)
      answer = await this.ask(without)
      if (!(answer instanceof Fault)) break
    }
    return answer
  }

  /** What was left out in vain is taken in again. */
  async #onlyNeeded(taken: Taken): Promise<Taken | undefined> {
    let { answer } = taken
    const needed = new Set(taken.without)
    for (const name of taken.without) {
      needed.delete(name)
      const next = await this.ask(needed)
      if (next === undefined) return undefined
      if (next instanceof Fault) needed.add(name)
      else answer = next
    }
    return { without: needed, answer }
  }
}

const textsOf = (answer: ChatAnswer) => answer.choices.map(({ message }) => (message.content ?? '').trim())

function copies(first: readonly string[], second: readonly string[]): string | undefined {
  const [text = ''] = first
  if (text.length < MIN_LENGTH) return undefined
  const isSame = (other: string) => other === text
  if (second.length > 0 && first.every((other, i) => other === second[i])) {
    return 'the server writes one text for two seeds: rollouts will be copies of one another, and what is estimated from them means nothing; does it take `seed`, and does it sample at this temperature?'
  }
  return first.length > 1 && first.every(isSame)
    ? 'the server writes one text for all samples of a request; ask for one at a time (--samples-per-request 1)'
    : undefined
}

/**
 * Lets `client` know what its server takes of `parameters`.
 * @throws EngineError INVALID_ARGUMENT naming the options that would do, where the server refuses what cannot be left
 *   out; ABORTED
 */
export async function probeServer(client: ChatClient, parameters: Parameters, signal?: AbortSignal): Promise<Findings> {
  const probe = new Probe(client, parameters, signal)
  const taken = await probe.refused()
  if (taken === undefined) return { samplesPerRequest: undefined, warnings: [] }
  const refused = [...taken.without]
  const firm = refused.filter((name) => !client.dialect.canDoWithout(name, parameters))
  if (firm.length > 0) {
    throw invalidArgument(
      `${client.shown}: the server takes no ${firm.join(' and no ')}; it would do with ${optionsInstead(firm)}`,
    )
  }
  client.dialect.adopt(refused)
  const texts = textsOf(taken.answer)
  const warnings = taken.without.has('seed') ? [NO_SEED] : []
  const second = await probe.ask(taken.without, 2)
  const same = second === undefined || second instanceof Fault ? undefined : copies(texts, textsOf(second))
  if (same !== undefined && parameters['temperature'] !== 0) warnings.push(same)
  return { samplesPerRequest: texts.length < NUM_SAMPLES ? Math.max(1, texts.length) : undefined, warnings }
}

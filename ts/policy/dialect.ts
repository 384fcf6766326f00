/**
 * What a server takes of a request's parameters. Servers differ, and say so in words of their own: what a refusal names
 * is done without where the request means the same, and a user is told what else would do where it does not.
 */
export type Parameters = Readonly<Record<string, unknown>>

interface Habit {
  /** How refusals name it, where not by its name alone. */
  readonly spoken?: RegExp
  /** The same request without it; undefined where there is none. */
  without(parameters: Parameters): Parameters | undefined
  /** What a user may set for a server that refuses it. */
  readonly instead?: string
}

function left(parameters: Parameters, ...names: string[]): Parameters {
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => !names.includes(name)))
}

/** 1 is what a server takes where nothing is said. */
const neutralAt1 = (name: string) => (p: Parameters) => (p[name] === 1 ? left(p, name) : undefined)

const ONE_ONLY =
  /(["'`[ ])n\1|\bn\s*(?:[=<>≤≥]|must|should|is\b|cannot|greater|larger|to be)|\b(?:one|single|multiple|several|many|than 1|number of)\s+(?:\w+\s+)?(?:completion|choice|candidate|generation|response|sample|sequence|output)s?\b/i

/** In the order in which they are suspected where a refusal names none. */
const HABITS: Readonly<Record<string, Habit>> = {
  n: { spoken: ONE_ONLY, without: (p) => left(p, 'n') },
  max_tokens: {
    without: ({ max_tokens, ...rest }) => ({ ...rest, max_completion_tokens: max_tokens }),
  },
  top_k: { without: () => undefined, instead: 'sampling.topK 0 (--top-k 0)' },
  repetition_penalty: { without: () => undefined, instead: 'sampling.repetitionPenalty 1 (--repetition-penalty 1)' },
  continue_final_message: {
    spoken: /continue_final_message|add_generation_prompt|last message|(?:assistant|final) (?:message|role|turn)|prefill/i,
    without: () => undefined,
    instead: 'another template than prefill (--template mm-prm-v1 or instruct)',
  },
  chat_template_kwargs: { without: () => undefined, instead: 'no templateVariables (--template-variable)' },
  seed: { without: (p) => left(p, 'seed') },
  stop: { without: (p) => left(p, 'stop') },
  temperature: { without: neutralAt1('temperature'), instead: 'sampling.temperature 1 (--temperature 1)' },
  top_p: { without: neutralAt1('top_p'), instead: 'sampling.topP 1 (--top-p 1)' },
}

export const PARAMETER_NAMES: readonly string[] = Object.keys(HABITS)

function isNamed(name: string, words: string): boolean {
  const { spoken } = HABITS[name] as Habit
  if (spoken) return spoken.test(words)
  // top_k may be spelt topK or top-k; max_tokens is no part of another name.
  return new RegExp(`(?<![\\w-])${name.replaceAll('_', '[_\\- ]?')}(?![\\w-])`, 'i').test(words)
}

/** Parameters that were sent and that the words of a refusal name. */
export function namedIn(words: string, parameters: Parameters): string[] {
  return PARAMETER_NAMES.filter((name) => name in parameters && isNamed(name, words))
}

/** What a user may set where the server refuses these. */
export function optionsInstead(names: readonly string[]): string {
  return names.flatMap((name) => HABITS[name]?.instead ?? []).join(', ')
}

export class Dialect {
  readonly #refused = new Set<string>()
  readonly #dispensable: ReadonlySet<string>

  /** @param dispensable parameters that may be left out whatever their value */
  constructor(dispensable: readonly string[] = []) {
    this.#dispensable = new Set(dispensable)
  }

  refuses(name: string): boolean {
    return this.#refused.has(name)
  }

  /** To be called for what a request without it has proved. */
  adopt(names: readonly string[]): void {
    for (const name of names) this.#refused.add(name)
  }

  /** Whether the same can be asked for without the parameter. */
  canDoWithout(name: string, parameters: Parameters): boolean {
    return this.#without(name, parameters) !== undefined
  }

  /** The parameters as this server takes them, and without `doubtful` ones too. */
  translate(parameters: Parameters, doubtful: readonly string[] = []): Parameters {
    let translated = parameters
    for (const name of new Set([...this.#refused, ...doubtful])) {
      if (name in translated) translated = this.#without(name, translated) ?? translated
    }
    return translated
  }

  #without(name: string, parameters: Parameters): Parameters | undefined {
    return this.#dispensable.has(name) ? left(parameters, name) : HABITS[name]?.without(parameters)
  }
}

/**
 * Chat templates within bounds. They come with strangers' checkpoints, and their language has loops, recursion and texts
 * that double: rendering one ends after so much work, and after so much text.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'

const MAX_TEMPLATE = 2 ** 20
/** Evaluated expressions, and characters or items of their values by the 256. */
const MAX_WORK = 100_000
const VALUE_PER_WORK = 256
/** Characters of one text, items of one list. */
const MAX_VALUE = 4 * 2 ** 20
const MAX_RANGE = 100_000

/** A template that asks for more than it may. */
export class TemplateLimit extends Error {}

// The library declares these types where Node's own resolution does not find them.
type Program = unknown
interface Scope {
  set(name: string, value: unknown): unknown
}
interface Evaluator {
  run(program: Program): { value: unknown }
  evaluate(statement: unknown, scope: Scope): { value: unknown }
}
const EvaluatorBase = Interpreter as new (globals: Scope) => Evaluator

class BoundedInterpreter extends EvaluatorBase {
  #work = 0

  override evaluate(statement: unknown, scope: Scope): { value: unknown } {
    const result = super.evaluate(statement, scope)
    const { value } = result
    const size = typeof value === 'string' || Array.isArray(value) ? value.length : 0
    if (size > MAX_VALUE) throw new TemplateLimit(`a value has ${size} characters or items; at most ${MAX_VALUE} are allowed`)
    this.#work += 1 + size / VALUE_PER_WORK
    if (this.#work > MAX_WORK) throw new TemplateLimit(`it takes more than ${MAX_WORK} steps`)
    return result
  }
}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop]
  if (step === 0) throw new Error('range() step must not be zero')
  const length = Math.max(0, Math.ceil((to - from) / step))
  if (length > MAX_RANGE) throw new TemplateLimit(`range() of ${length} numbers; at most ${MAX_RANGE} are allowed`)
  return Array.from({ length }, (_, i) => from + i * step)
}

const pad = (n: number) => String(n).padStart(2, '0')
const monthName = (date: Date, month: 'short' | 'long') => date.toLocaleString('en-US', { month })
const DATE_PARTS: Record<string, (date: Date) => string> = {
  Y: (date) => String(date.getFullYear()),
  m: (date) => pad(date.getMonth() + 1),
  d: (date) => pad(date.getDate()),
  b: (date) => monthName(date, 'short'),
  B: (date) => monthName(date, 'long'),
  H: (date) => pad(date.getHours()),
  M: (date) => pad(date.getMinutes()),
  S: (date) => pad(date.getSeconds()),
  '%': () => '%',
}

/** The names that transformers gives to templates. */
const GLOBALS = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  range,
  raise_exception(message: string) {
    throw new Error(message)
  },
  strftime_now(format: string) {
    const now = new Date()
    return format.replace(/%(.)/g, (whole, part: string) => DATE_PARTS[part]?.(now) ?? whole)
  },
}

export class BoundedTemplate {
  readonly #program: Program

  /** @throws Error where the text is no template; TemplateLimit */
  constructor(template: string) {
    if (template.length > MAX_TEMPLATE)
      throw new TemplateLimit(`it has ${template.length} characters; at most ${MAX_TEMPLATE} are allowed`)
    this.#program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }))
  }

  /** @throws Error with the template's own words where it refuses; TemplateLimit */
  render(variables: Record<string, unknown>): string {
    const globals: Scope = new Environment()
    for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) globals.set(name, value)
    return new BoundedInterpreter(globals).run(this.#program).value as string
  }
}

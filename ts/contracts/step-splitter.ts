/**
 * How the steps of a policy that does not write our tags are told apart, and put together again. Part of the policy's
 * identity: other steps make another run.
 */
import { cutQuery } from './cte.ts'
import { invalidArgument } from './errors.ts'
import { solutionStart } from './reasoning.ts'
import { suggest } from './suggest.ts'

export interface StepSplitter {
  /** As it was asked for; recorded with a run. */
  readonly name: string
  /**
   * Steps of a solution, its reasoning left out; none of an empty text.
   * @param isReasoning the text begins inside a block of reasoning that its prompt has opened
   */
  split(text: string, isReasoning?: boolean): string[]
  /** The text that the steps came from, so that the policy can go on behind them. */
  join(steps: readonly string[]): string
}

/** Where a step begins (the match goes to the step behind it), or what stands between two. */
const BORDERS: Readonly<Record<string, { border: RegExp; between: string }>> = {
  'blank-line': { border: /\n[ \t]*\n\s*/, between: '\n\n' },
  line: { border: /\n\s*/, between: '\n' },
  'step-n': { border: /\s*\n\s*(?=(?:\*\*|#+ ?)?Step\s+\d+)/i, between: '\n' },
  heading: { border: /\s*\n\s*(?=#{2,4} )/, between: '\n\n' },
}
const CTE = 'cte'
export const SPLITTER_NAMES = [...Object.keys(BORDERS), CTE, 'regex:PATTERN']

/** At most k steps: neighbours are put together, as evenly as may be, and the last one stays by itself. */
function merged(steps: readonly string[], k: number, between: string): string[] {
  if (steps.length <= k || k < 2) return k < 2 && steps.length > 0 ? [steps.join(between)] : [...steps]
  const [body, last] = [steps.slice(0, -1), steps.at(-1) as string]
  const groups = Array.from({ length: k - 1 }, (_, g) => {
    const at = (i: number) => Math.floor((i * body.length) / (k - 1))
    return body.slice(at(g), at(g + 1)).join(between)
  })
  return [...groups, last]
}

function borderOf(kind: string): { border: RegExp; between: string } {
  const known = BORDERS[kind]
  if (known) return known
  if (!kind.startsWith('regex:')) throw invalidArgument(`no step splitter "${kind}"${suggest(kind, SPLITTER_NAMES)}`)
  try {
    return { border: new RegExp(kind.slice('regex:'.length), 'm'), between: '\n\n' }
  } catch (error) {
    throw invalidArgument(`step splitter "${kind}": ${(error as Error).message}`, error)
  }
}

function cutterOf(kind: string): { between: string; cut: (solution: string) => string[] } {
  if (kind === CTE) return { between: '\n', cut: cutQuery }
  const { border, between } = borderOf(kind)
  const cut = (solution: string) => solution.split(border).map((step) => step?.trim() ?? '')
  return { between, cut: (solution) => cut(solution).filter((step) => step !== '') }
}

/**
 * @param name `blank-line`, `line`, `step-n` (`Step 1:` …), `heading` (`### ` …), `cte` (a query's table expressions) or
 *   `regex:PATTERN`; with `/K` behind it neighbours are merged to at most K steps
 * @throws EngineError INVALID_ARGUMENT with the nearest name
 */
export function stepSplitter(name: string): StepSplitter {
  const [, kind = name, most] = /^(.*?)(?:\/(\d+))?$/s.exec(name) ?? []
  const { between, cut } = cutterOf(kind)
  return {
    name,
    split(text, isReasoning) {
      const steps = cut(text.slice(solutionStart(text, isReasoning)).trim())
      return most === undefined ? steps : merged(steps, Number(most), between)
    },
    join: (steps) => steps.join(between),
  }
}

export const defaultSplitter: StepSplitter = stepSplitter('blank-line')

/** A scorer of the user's own: a module whose default export is a StepScorer, or a function that makes one. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { invalidArgument, policyError } from '../contracts/errors.ts'
import type { ScoreRequest, StepScorer, StepScores } from '../contracts/scorer.ts'

/** Whether a path is that of a module, rather than of a checkpoint folder. */
export const isModulePath = (path: string) => /\.[cm]?[jt]s$/.test(path)

type Closable = StepScorer & { close?: () => Promise<void> | void }

const isScorer = (value: unknown): value is Closable =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Closable).name === 'string' &&
  typeof (value as Closable).score === 'function'

/** What a stranger's code gives is looked at before it is kept. */
function checked(scorer: StepScorer, { problem, solutions }: ScoreRequest, given: unknown): StepScores[] {
  const refuse = (what: string) => policyError(`problem "${problem.id}": scorer ${scorer.name}: ${what}`)
  if (!Array.isArray(given) || given.length !== solutions.length)
    throw refuse(`gave ${Array.isArray(given) ? `${given.length} results` : 'no list'} for ${solutions.length} solutions`)
  for (const [i, solution] of solutions.entries()) {
    const { scores, std, error } = (given[i] ?? {}) as Partial<StepScores>
    if (error !== undefined) continue
    for (const [name, list] of Object.entries({ scores, ...(std && { std }) }))
      if (!Array.isArray(list) || list.length !== solution.length || !list.every((x) => x >= 0 && x <= 1))
        throw refuse(`"${name}" of solution ${i} must be ${solution.length} numbers in [0, 1]`)
  }
  return given
}

/**
 * The scorer that a module exports, recorded with a run under its own name and the hash of the module's file: what that file
 * imports is for its name to tell.
 * @throws EngineError INVALID_ARGUMENT (the module does not load, or exports no scorer); when it scores: POLICY
 */
export async function openScorerModule(path: string): Promise<StepScorer & { close(): Promise<void> }> {
  const file = resolve(path)
  const bytes = await readFile(file).catch((error: Error) => {
    throw invalidArgument(`scorer ${path}: ${error.message}`, error)
  })
  const loaded = await import(pathToFileURL(file).href).catch((error: Error) => {
    throw invalidArgument(`scorer ${path}: ${error.message}`, error)
  })
  const scorer: unknown = typeof loaded.default === 'function' ? await loaded.default() : loaded.default
  if (!isScorer(scorer))
    throw invalidArgument(`scorer ${path}: its default export must be { name, score }, or a function that gives it`)
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  return {
    name: `${scorer.name}@${hash}`,
    ...(scorer.threshold !== undefined && { threshold: scorer.threshold }),
    score: async (request, signal) => checked(scorer, request, await scorer.score(request, signal)),
    close: async () => scorer.close?.(),
  }
}

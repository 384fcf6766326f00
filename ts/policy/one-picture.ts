/** A problem as the package's engine takes it: one picture, in front of the question. */
import { invalidArgument } from '../contracts/errors.ts'
import { type Problem, picturesOf, shownQuestion, withoutMarks } from '../contracts/problem.ts'

/** @throws EngineError INVALID_ARGUMENT for more pictures */
export function questionWithOnePicture(problem: Problem): string {
  const { length } = picturesOf(problem)
  if (length > 1) throw invalidArgument(`${length} pictures; the model takes one`)
  return withoutMarks(shownQuestion(problem), length)
}

/** One spelling per answer, so that votes for the same answer count together. */
import { verifyAnswer } from './equivalent.ts'

/** Answers that say the same get the spelling of the first of them; null where there is none. */
export function canonicalAnswers(answers: readonly (string | null)[]): (string | null)[] {
  const distinct: string[] = []
  return answers.map((answer) => {
    if (answer === null) return null
    const known = distinct.find((other) => other === answer || verifyAnswer(other, answer).match)
    if (known === undefined) distinct.push(answer)
    return known ?? answer
  })
}

/** Which problems of a set also stand in what a model was trained on: the same text, or the same picture. */
import { createHash } from 'node:crypto'
import { type Problem, type ProblemImage, picturesOf } from '../contracts/problem.ts'
import type { AnswerSet, AnswerTaskResults } from '../eval/index.ts'
import { hashPixels } from '../images/index.ts'
import { normalizeQuestion, readProblems } from '../problems/index.ts'

const MAX_NAMED = 100
const MAX_PICTURES = 99
/** A shorter question says too little without its picture: "Find x." */
const MIN_WORDS = 6

const textKey = ({ question }: Pick<Problem, 'question'>) => {
  const text = normalizeQuestion(question)
  return text.split(' ').length >= MIN_WORDS ? createHash('sha256').update(text).digest('hex') : undefined
}

/** By pixels, whatever the file; a picture that cannot be read is like no other. */
async function pictureKeys(problem: Problem, signal: AbortSignal): Promise<string[]> {
  const hash = (image: ProblemImage) => hashPixels(image, { signal }).catch(() => undefined)
  const keys = await Promise.all(picturesOf(problem).map(hash))
  return keys.filter((key) => key !== undefined)
}

/** @throws EngineError INVALID_ARGUMENT where the file cannot be read */
export async function contaminationOf(
  { items }: AnswerSet,
  file: string,
  signal: AbortSignal,
): Promise<NonNullable<AnswerTaskResults['contamination']>> {
  const [texts, pictures] = [new Set<string>(), new Set<string>()]
  for await (const row of readProblems(file, MAX_PICTURES)) {
    if (!('problem' in row)) continue
    const text = textKey(row.problem)
    if (text !== undefined) texts.add(text)
    for (const key of await pictureKeys(row.problem, signal)) pictures.add(key)
  }
  const found: { id: string; byText: boolean; byPicture: boolean }[] = []
  for (const { problem } of items) {
    const text = textKey(problem)
    const byText = text !== undefined && texts.has(text)
    const byPicture = pictures.size > 0 && (await pictureKeys(problem, signal)).some((key) => pictures.has(key))
    if (byText || byPicture) found.push({ id: problem.id, byText, byPicture })
  }
  return {
    against: file,
    problems: found.length,
    byText: found.filter((one) => one.byText).length,
    byPicture: found.filter((one) => one.byPicture).length,
    ids: found.slice(0, MAX_NAMED).map(({ id }) => id),
  }
}

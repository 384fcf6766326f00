/** MathVerse's own grading: extraction and comparison are a model's; equal text alone is decided without one. */

/** Whether an extraction is the answer to the letter (`--quick_match`). */
export const quickMatch = (answer: string, extraction: string | null) => (extraction ?? '') === answer

/** @param extraction what a model read of the response; absent: none was asked. null: only a model can compare */
export function gradeMathVerse(answer: string, extraction?: string | null): boolean | null {
  return extraction !== undefined && quickMatch(answer, extraction) ? true : null
}

/** Families that are asked turn by turn, with `+` as every reply: read at the row before each, which predicts it. */
import { invalidArgument, invalidModel } from '../../contracts/errors.ts'
import type { Tokenizer } from '../tokenizer/index.ts'
import type { CheckpointTraits, Reward } from './family.ts'

export const RIGHT = '+'
const WRONG = '-'

/** The exact pieces of both replies. @throws EngineError INVALID_MODEL */
export function replyReward(family: string, traits: CheckpointTraits): Reward {
  const [yes, no] = [traits.pieceId(RIGHT), traits.pieceId(WRONG)]
  if (yes === undefined || no === undefined)
    throw invalidModel(`${family} scoring needs the pieces ${RIGHT} and ${WRONG} in the tokenizer`)
  return { kind: 'pair', yes, no }
}

/**
 * Rows before the last `numReplies` replies. Turns end in one special token, and users write none: behind a reply of one
 * token it is every other one, counted from the end.
 * @throws EngineError INVALID_ARGUMENT where a reply is not its one token
 */
export function rowsBeforeReplies(tokenizer: Tokenizer, ids: readonly number[], numReplies: number): number[] {
  const end = ids.findLast((id) => tokenizer.isSpecial(id))
  const ends = ids.flatMap((id, i) => (id === end ? [i] : []))
  const plus = tokenizer.pieceId(RIGHT)
  return Array.from({ length: numReplies }, (_, k) => {
    const at = ends.at(-1 - 2 * (numReplies - 1 - k)) ?? 0
    if (ids[at - 1] !== plus) throw invalidArgument(`step ${k + 1}: the reply ${RIGHT} is no token of its own behind it`)
    return at - 2
  })
}

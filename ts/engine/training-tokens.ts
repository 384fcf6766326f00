/** What a PRM reads at a step: what its vocabulary must hold before training, and whose prompts show it. */
import { invalidArgument } from '../contracts/errors.ts'
import type { TrainableOptions } from '../contracts/trainer.ts'
import type { CheckpointFolder } from './checkpoint.ts'
import { markerOf, resolveFamily, type ScoringFamily, tellsFamily } from './families/index.ts'
import { addSpecialToken, raiseVocabSize } from './model-files.ts'
import { openTokenizer, type Tokenizer } from './tokenizer/index.ts'
import type { HeadForm } from './train-heads.ts'
import { MARKER_TOKEN } from './training-rows.ts'

/** Right and wrong, in the order of the loss. */
export const REWARD_PIECES = ['Yes', 'No']

/** Adds what the family of a new head reads at a step and the tokenizer lacks. Returns its id where it is new. */
export async function addMarker(files: string, head: HeadForm, options: TrainableOptions): Promise<number[]> {
  const marker = head.config && markerOf(options.template ?? head.scoring)
  const tokenizer = await openTokenizer(files)
  if (marker === undefined || tokenizer.added.ids.has(marker)) return []
  const id = tokenizer.vocabSize
  await addSpecialToken(files, marker, id)
  await raiseVocabSize(files, id + 1)
  return [id]
}

/** Whose prompts are learnt: as asked, as the checkpoint says or shows, or as such a head is usually read. */
export function headFamily(
  head: HeadForm,
  options: TrainableOptions,
  folder: CheckpointFolder,
  tokenizer: Tokenizer,
): ScoringFamily {
  const traits = {
    architecture: head.architecture,
    hasRewardHead: true,
    head: head.traits,
    numClasses: head.outputs,
    pieceId: (piece: string) => tokenizer.pieceId(piece),
    config: folder.config,
    ownChat: folder.usesOwnChat(tokenizer),
    recorded: head.config ? undefined : folder.recorded,
  }
  const { template = !head.config && tellsFamily(traits) ? 'auto' : head.scoring } = options
  const family = resolveFamily(template, traits)
  if (family.perStep)
    throw invalidArgument(`template ${family.name}: reads every step in a sequence of its own, as training does not; take trl`)
  return family
}

/**
 * Adds what a PRM reads at a step and the tokenizer lacks: the marker, and the two pieces that a score is made of (a
 * small vocabulary may spell them in letters). Returns the ids that are new.
 */
export async function addPrmTokens(files: string, { lora, freeze, init }: TrainableOptions): Promise<number[]> {
  const tokenizer = await openTokenizer(files)
  const missing = REWARD_PIECES.filter((piece) => tokenizer.pieceId(piece) === undefined)
  if (missing.length > 0 && (lora || freeze.includes('language'))) {
    const why = 'their rows begin alike, and only training tells them apart: not with LoRA, nor with the language model frozen'
    throw invalidArgument(`${init}: the tokenizer lacks the pieces ${missing.join(' and ')}; ${why}`)
  }
  const tokens = [...(tokenizer.added.ids.has(MARKER_TOKEN) ? [] : [MARKER_TOKEN]), ...missing]
  const ids = tokens.map((_, i) => tokenizer.vocabSize + i)
  for (const [i, token] of tokens.entries()) await addSpecialToken(files, token, ids[i] as number)
  if (ids.length > 0) await raiseVocabSize(files, tokenizer.vocabSize + ids.length)
  return ids
}

/**
 * What a PRM is trained with: the vocabulary's head, the reward head of its checkpoint, or a new one in the form of a public
 * family, whose class, tensor names and prompts the result has then.
 */
import { invalidArgument } from '../contracts/errors.ts'
import type { HeadKindName, TrainableOptions, TrainHead, TrainLoss } from '../contracts/trainer.ts'
import { markerOf } from './families/index.ts'
import type { HeadKind, ModelSummary, NativeHead } from './native.ts'

/** As transformers names the classes of a decoder that has such heads. */
const CLASSES: Readonly<Record<string, string>> = { qwen2: 'Qwen2', qwen3: 'Qwen3', llama: 'Llama', mistral: 'Mistral' }
const DEFAULT_HEADS = 8
const DEFAULT_WIDTH = 128
const DEFAULT_ANCHOR = 0.5

/** The head under training. */
export interface HeadForm {
  kind: HeadKindName
  architecture: string
  outputs: number
  /** How the scoring families call it. */
  traits: HeadKind
  /** Family whose prompts are learnt where neither options nor checkpoint name one. */
  scoring: string
  native: NativeHead
  /** What the result's config.json says beside its architecture; undefined for the head of the checkpoint. */
  config?: Readonly<Record<string, unknown>>
  anchor: number
}

const labels = (n: number) => Array.from({ length: n }, (_, i) => `LABEL_${i}`)
const labelConfig = (n: number) => ({
  id2label: Object.fromEntries(labels(n).map((label, i) => [i, label])),
  label2id: Object.fromEntries(labels(n).map((label, i) => [label, i])),
})

/** The head that `options` and checkpoint agree on; undefined for the vocabulary's. @throws EngineError INVALID_ARGUMENT */
export function headOf({ head, task, init, saveAs }: TrainableOptions, summary: ModelSummary): HeadForm | undefined {
  const stored = summary.decoder.head !== 'vocabulary'
  if (!stored && !head) return undefined
  if (task === 'policy') {
    const why = head ? 'takes no reward head' : `needs a vocabulary head: ${summary.architecture} has a reward head in its place`
    throw invalidArgument(`${init}: task policy ${why}`)
  }
  if (saveAs === 'adapters')
    throw invalidArgument('adapters cannot be saved apart where a reward head is trained too: save merged')
  return stored ? storedForm(head, init, summary) : newForm(head as TrainHead, init, summary)
}

function storedKind({ architecture, decoder }: ModelSummary): HeadKindName {
  if (decoder.head === 'ensemble' || decoder.head === 'value') return decoder.head
  return architecture === 'Qwen2ForProcessRewardModel' ? 'two-layer' : 'classes'
}

function storedForm(wanted: TrainHead | undefined, init: string, summary: ModelSummary): HeadForm {
  const { architecture, decoder } = summary
  const kind = storedKind(summary)
  if (wanted && wanted.kind !== kind)
    throw invalidArgument(`head: ${init} has one of kind ${kind}, which is trained on; ${wanted.kind} was asked for`)
  if (wanted?.heads !== undefined && wanted.heads !== decoder.numClasses)
    throw invalidArgument(`head: ${init} has an ensemble of ${decoder.numClasses} heads; ${wanted.heads} were asked for`)
  if (wanted?.width !== undefined) throw invalidArgument(`head: ${init} has an ensemble already; a width is for a new one`)
  const keepsVocabulary = architecture === 'Qwen2ForPrmModel'
  return {
    ...{ kind, architecture, outputs: decoder.numClasses, traits: decoder.head, scoring: 'trl' },
    native: { kind: '', name: '', outputs: 0, width: 0, keepsVocabulary },
    anchor: kind === 'ensemble' ? (wanted?.anchor ?? DEFAULT_ANCHOR) : 0,
  }
}

function newForm(head: TrainHead, init: string, { architecture, family, vision }: ModelSummary): HeadForm {
  const { kind, heads = DEFAULT_HEADS, width = DEFAULT_WIDTH, anchor = DEFAULT_ANCHOR } = head
  const cls = CLASSES[family]
  const refuse = (why: string) => invalidArgument(`${init}: no head of kind ${kind} for ${architecture}: ${why}`)
  if (vision || !cls || architecture !== `${cls}ForCausalLM`)
    throw refuse(
      `no public class has one; language models of ${Object.values(CLASSES).join(', ')} have, and others are trained without "head"`,
    )
  const isQwen2 = family === 'qwen2'
  const one = { width: 0, keepsVocabulary: false }
  const tokenClasses = (outputs: number, traits: HeadKind): HeadForm => ({
    ...{ kind, architecture: `${cls}ForTokenClassification`, outputs, traits, scoring: 'trl', anchor: 0 },
    native: { ...one, kind: 'linear', name: 'score', outputs },
    config: labelConfig(outputs),
  })
  if (kind === 'classes') return tokenClasses(2, 'classes')
  if (kind === 'value' && !isQwen2) return tokenClasses(1, 'value')
  if (kind === 'value') {
    return {
      ...{ kind, architecture: 'Qwen2ForPrmModel', outputs: 1, traits: 'value', scoring: 'skywork', anchor: 0 },
      native: { kind: 'linear', name: 'v_head.summary', outputs: 1, width: 0, keepsVocabulary: true },
      config: {},
    }
  }
  if (!isQwen2) throw refuse('that class is a Qwen2 alone; classes and value are for all')
  if (kind === 'two-layer') {
    return {
      ...{ kind, architecture: 'Qwen2ForProcessRewardModel', outputs: 2, traits: 'classes', anchor: 0 },
      scoring: 'qwen2.5-math-prm',
      native: { ...one, kind, name: '', outputs: 2 },
      config: labelConfig(2),
    }
  }
  return {
    ...{ kind, architecture: 'Qwen2ForEnsemblePRM', outputs: heads, traits: kind, scoring: 'act-prm', anchor },
    native: { ...one, kind, name: '', outputs: heads, width },
    config: { num_ensemble: heads, rr_token: markerOf('act-prm') },
  }
}

const FITS: Readonly<Record<'cross-entropy' | 'bce', readonly string[]>> = {
  'cross-entropy': ['vocabulary', 'classes', 'two-layer'],
  bce: ['value', 'ensemble'],
}

/** @throws EngineError INVALID_ARGUMENT where the loss is not one of the head */
export function checkLoss(loss: TrainLoss | undefined, head: HeadForm | undefined): void {
  if (!loss || loss.kind === 'rank') return
  const kind = head?.kind ?? 'vocabulary'
  if (FITS[loss.kind].includes(kind)) return
  const right = loss.kind === 'bce' ? 'cross-entropy' : 'bce'
  throw invalidArgument(
    `loss ${loss.kind} is for ${FITS[loss.kind].join(', ')} heads, this one is of kind ${kind}: take ${right}, or rank with siblings`,
  )
}

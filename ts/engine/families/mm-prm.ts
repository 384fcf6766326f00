/** MM-PRM: InternVL with a `<prm>` marker behind each step; softmax of the exact pieces Yes and No at the marker. */
import { invalidModel } from '../../contracts/errors.ts'
import { suggest } from '../../contracts/suggest.ts'
import { PRM_TEMPLATES, type PrmTemplate } from '../template/prm.ts'
import type { CheckpointTraits, FamilyDefinition } from './family.ts'

const DEFAULT_TEMPLATE = 'internvl2_5-prm-score'

function templateOf(traits: CheckpointTraits) {
  const name = traits.recorded?.template ?? DEFAULT_TEMPLATE
  if (Object.hasOwn(PRM_TEMPLATES, name)) return PRM_TEMPLATES[name as PrmTemplate]
  throw invalidModel(`mm-prm.json: no scoring template "${name}"${suggest(name, Object.keys(PRM_TEMPLATES))}`)
}

export const mmPrm: FamilyDefinition = {
  name: 'mm-prm',
  head: 'vocabulary',
  shows: 'an InternVL with the piece <prm>',
  // WHY the architecture too: others add a token of this name to models that are asked in other words.
  recognise: ({ architecture, hasRewardHead, pieceId }) =>
    !hasRewardHead && architecture.startsWith('InternVL') && pieceId('<prm>') !== undefined,
  create(traits) {
    const template = templateOf(traits)
    const [yes, no] = [traits.pieceId('Yes'), traits.pieceId('No')]
    if (yes === undefined || no === undefined) throw invalidModel('mm-prm scoring needs the pieces Yes and No in the tokenizer')
    return {
      name: 'mm-prm',
      prompt: (tokenizer, request) => ({
        ...template(tokenizer, { ...request, systemMessage: traits.config.system_message, ownChat: traits.ownChat }),
        reward: { kind: 'pair', yes, no },
      }),
    }
  },
}

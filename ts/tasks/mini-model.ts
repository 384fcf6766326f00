/**
 * What the mini policy is before training: an InternVL-layout config of about 4.4 million parameters, its
 * tokenizer trained on the tasks' texts, and the system message that opens its prompts.
 */
import { IMAGE_SIZE, IN_DOMAIN, makeProblems, solutionText, writtenSolution } from './index.ts'
import { trainTokenizer } from './tokenizer.ts'

export const MINI_SYSTEM_MESSAGE = 'Solve the problem step by step.'

const VOCABULARY = 448
const TEXTS = 6000

function* texts(): Generator<string> {
  for (const problem of makeProblems(IN_DOMAIN, 'tokenizer', TEXTS, { part: 'train' })) {
    yield problem.question
    yield solutionText(writtenSolution(problem))
  }
  // Prompts hold these once each, however rarely the generator says them.
  for (let i = 0; i < TEXTS / 4; i++) yield `system\n${MINI_SYSTEM_MESSAGE}user\nassistant\nQuestion: Process: `
}

const VISION = {
  hidden_size: 128,
  intermediate_size: 512,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  patch_size: 8,
  image_size: IMAGE_SIZE,
}
const DECODER = { hidden_size: 224, intermediate_size: 608, num_hidden_layers: 6, num_attention_heads: 7, num_key_value_heads: 7 }

/** Files of the untrained model's folder, weights aside: config, tokenizer, generation and preprocessor settings. */
export function miniModelFiles(): Record<string, string> {
  const { files, vocabSize, ids } = trainTokenizer(texts(), VOCABULARY)
  const config = {
    architectures: ['InternVLChatModel'],
    model_type: 'internvl_chat',
    downsample_ratio: 0.5,
    dynamic_image_size: false,
    force_image_size: IMAGE_SIZE,
    llm_config: {
      architectures: ['Qwen2ForCausalLM'],
      model_type: 'qwen2',
      vocab_size: vocabSize,
      max_position_embeddings: 1024,
      hidden_act: 'silu',
      rms_norm_eps: 1e-6,
      rope_theta: 10_000,
      tie_word_embeddings: false,
      use_sliding_window: false,
      torch_dtype: 'bfloat16',
      ...DECODER,
    },
    vision_config: {
      architectures: ['InternVisionModel'],
      model_type: 'intern_vit_6b',
      num_channels: 3,
      qkv_bias: true,
      qk_normalization: false,
      norm_type: 'layer_norm',
      layer_norm_eps: 1e-6,
      hidden_act: 'gelu',
      initializer_factor: 1,
      drop_path_rate: 0,
      ...VISION,
    },
    max_dynamic_patch: 1,
    min_dynamic_patch: 1,
    pad2square: false,
    ps_version: 'v2',
    select_layer: -1,
    system_message: MINI_SYSTEM_MESSAGE,
    template: 'internvl2_5',
    torch_dtype: 'bfloat16',
    use_thumbnail: false,
  }
  const preprocessor = {
    image_mean: [0.485, 0.456, 0.406],
    image_std: [0.229, 0.224, 0.225],
    size: IMAGE_SIZE,
    resample: 3,
    do_normalize: true,
    do_resize: true,
  }
  const json = (value: unknown) => `${JSON.stringify(value, null, 1)}\n`
  return {
    ...files,
    'config.json': json(config),
    'generation_config.json': json({ eos_token_id: [ids['<|im_end|>']], pad_token_id: ids['<|endoftext|>'] }),
    'preprocessor_config.json': json(preprocessor),
  }
}

/**
 * PRMs with reward heads. No public class puts one on a model that sees: they begin as a small language model that has read worked
 * sums, made here within minutes.
 */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../../ts/contracts/folders.ts'
import { type Dataset, initModel, type TrainOptions, train } from '../../ts/index.ts'
import { sumProblem } from '../../ts/tasks/sums.ts'
import { trainTokenizer } from '../../ts/tasks/tokenizer.ts'
import { told } from './models.ts'
import { at, PLAN } from './plan.ts'

const EXTENTS = {
  ...{ hidden_size: 96, intermediate_size: 256, num_hidden_layers: 3, num_attention_heads: 3, num_key_value_heads: 3 },
  max_position_embeddings: 512,
}
const VOCABULARY = 440
const TEXTS = 1500
/** What ActPRM's prompts say around a solution: words of it are single tokens then. */
const PROMPT =
  'system\nYou are a helpful and harmless assistant. You should think step-by-step and put your final answer within \\boxed{}.' +
  'user\nassistant\n'

/** WHY one thread: the machine is shared, and the bits are the same for any number. */
const RECIPE = {
  ...{ warmupRatio: 0.1, weightDecay: 0.05, decay: 'matrices' as const, beta2: 0.98, freeze: [], microBatchTokens: 8192 },
  ...{ checkpointEvery: 100, seed: PLAN.seed, threads: 1, resume: true },
} as const

/** Problem i of those that the language model reads, as it is asked and answered. */
function workedSum(index: number) {
  const { id, question, steps, answer } = sumProblem('systems/read', index)
  return { id, question, reply: [...steps, answer].join('\n') }
}

function* texts(): Generator<string> {
  for (let i = 0; i < TEXTS; i++) {
    const { question, reply } = workedSum(i)
    yield* [question, reply, PROMPT]
  }
}

/** Files of the untrained model, weights aside. */
function modelFiles(): Record<string, string> {
  const { files, vocabSize, ids } = trainTokenizer(texts(), VOCABULARY)
  const config = {
    ...{ architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2', vocab_size: vocabSize, ...EXTENTS },
    ...{ hidden_act: 'silu', rms_norm_eps: 1e-6, rope_theta: 10_000, use_sliding_window: false, torch_dtype: 'float32' },
    tie_word_embeddings: false, // a value head stands beside a vocabulary's of its own
    eos_token_id: ids['<|im_end|>'],
  }
  const tokenizer = JSON.parse(files['tokenizer_config.json'] as string)
  const json = (value: unknown) => `${JSON.stringify(value, null, 1)}\n`
  return {
    ...files,
    'config.json': json(config),
    // Skywork's prompts begin with it.
    'tokenizer_config.json': json({ ...tokenizer, bos_token: '<|endoftext|>' }),
  }
}

function workedSums(size: number): Dataset {
  return {
    size,
    fingerprint: `worked sums ${size}`,
    at(index) {
      const { id, question, reply } = workedSum(index)
      return { id, group: id, question, steps: [], turns: [{ role: 'user', content: question }], reply }
    },
  }
}

/** The folder of the language model. */
export async function languageModel(size: number = PLAN.languageModel.samples): Promise<string> {
  const [init, out] = [at('models', 'sums-untrained'), at('models', 'sums-read')]
  if (existsSync(join(out, 'model.safetensors'))) return out
  await initModel({ files: modelFiles(), out: init, seed: PLAN.seed })
  const { learningRate } = PLAN.languageModel
  const onProgress = told('language model')
  await train({ ...RECIPE, task: 'policy', init, out, data: workedSums(size), batchSize: 16, learningRate, onProgress })
  return out
}

/** A file of training rows. */
export async function rowsFile(name: string, rows: readonly object[]): Promise<string> {
  makeFolder(at('data', name))
  const path = at('data', name, 'train.jsonl')
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return path
}

/** The folder of a PRM that begins as `init` with a new head. */
export async function rewardModel(
  name: string,
  { init, data, ...more }: Pick<TrainOptions, 'init' | 'data' | 'head' | 'loss' | 'epochs'>,
): Promise<string> {
  const out = at('models', name)
  if (existsSync(join(out, 'model.safetensors'))) return out
  const { learningRate } = PLAN.rewardModels
  await train({ ...RECIPE, task: 'prm', init, data, out, batchSize: 32, learningRate, ...more, onProgress: told(name) })
  return out
}

/** `adapter_config.json` of a PEFT folder: which modules it changes, and by how much. Whatever it asks for that is not done is refused. */
import { join } from 'node:path'
import { z } from 'zod'
import { EngineError, invalidModel } from '../contracts/errors.ts'
import { readJsonFile } from './tokenizer/files.ts'

export const ADAPTER_CONFIG = 'adapter_config.json'

const names = z.array(z.string().min(1))
const positive = z.number().positive()
const configSchema = z.looseObject({
  peft_type: z.string(),
  base_model_name_or_path: z.string().nullish(),
  r: z.number().int().positive(),
  lora_alpha: positive.nullish(),
  use_rslora: z.boolean().nullish(),
  rank_pattern: z.record(z.string(), z.number().int().positive()).nullish(),
  alpha_pattern: z.record(z.string(), positive).nullish(),
  target_modules: z.union([z.string().min(1), names]).nullish(),
  modules_to_save: names.nullish(),
  ensure_weight_tying: z.boolean().nullish(),
  layers_to_transform: z.union([z.number().int(), z.array(z.number().int())]).nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
})
type Config = z.output<typeof configSchema>

/** PEFT's default where a config leaves alpha out. */
const DEFAULT_ALPHA = 8
/** Starts of training that leave the base as it was; the others (pissa, olora, corda …) change it, and no file says how. */
const PLAIN_STARTS = new Set(['gaussian', 'eva', 'orthogonal'])
/** Of training, of bookkeeping, or told by the tensors themselves. */
const WITHOUT_EFFECT = new Set(
  (
    'alora_config auto_mapping bias corda_config eva_config exclude_modules inference_mode layers_pattern ' +
    'loftq_config lora_dropout lora_ga_config megatron_core peft_version qalora_group_size revision ' +
    'runtime_config task_type velora_config parent_library'
  ).split(' '),
)

function isSet(value: unknown): boolean {
  if (value === null || value === undefined || value === false) return false
  return typeof value !== 'object' || Object.keys(value).length > 0
}

/** Python's expression in JavaScript's words. @throws EngineError UNSUPPORTED_MODEL where it has none */
function expression(source: string, where: string): RegExp {
  const translated = source
    .replaceAll('(?P<', '(?<')
    .replace(/\(\?P=(\w+)\)/g, '\\k<$1>')
    .replaceAll('\\A', '^')
    .replaceAll('\\Z', '$')
  try {
    return new RegExp(`^(?:${translated})$`, 's')
  } catch (error) {
    throw new EngineError(
      'ERR_ENGINE_UNSUPPORTED_MODEL',
      `${where}: the regular expression "${source}" is not understood: ${(error as Error).message}`,
    )
  }
}

/** The index of the layer that a module lies in, as PEFT finds it. */
function layerOf(module: string): number | undefined {
  const found = /^.*\.[^.]*\.(\d+)\./s.exec(module)?.[1]
  return found === undefined ? undefined : Number(found)
}

export class AdapterConfig {
  /** What the trainer had on its disk, or a name: no more than a hint. */
  readonly base: string | undefined
  readonly #path: string
  readonly #config: Config
  readonly #patterns: Record<'rank_pattern' | 'alpha_pattern', { matches: RegExp; value: number }[]>

  private constructor(path: string, config: Config) {
    this.#path = path
    this.#config = config
    this.base = config.base_model_name_or_path ?? undefined
    this.#checkSupported()
    this.#patterns = { rank_pattern: this.#patternsOf('rank_pattern'), alpha_pattern: this.#patternsOf('alpha_pattern') }
  }

  /** @throws EngineError INVALID_MODEL (no such file, wrong values), UNSUPPORTED_MODEL (other kinds of adapters): file and key */
  static async read(folder: string): Promise<AdapterConfig> {
    const config = await readJsonFile(folder, ADAPTER_CONFIG, configSchema)
    if (!config) throw invalidModel(`${folder}: holds no ${ADAPTER_CONFIG}; an adapter is a folder as PEFT saves it`)
    return new AdapterConfig(join(folder, ADAPTER_CONFIG), config)
  }

  /** Rank of a module's adapter, and the factor of its product: alpha / r, or alpha / √r with rsLoRA. */
  scaling(module: string): { rank: number; scale: number } {
    const { r, lora_alpha, use_rslora } = this.#config
    const rank = this.#byPattern('rank_pattern', module) ?? r
    const alpha = this.#byPattern('alpha_pattern', module) ?? lora_alpha ?? DEFAULT_ALPHA
    return { rank, scale: alpha / (use_rslora ? Math.sqrt(rank) : rank) }
  }

  /** @throws EngineError INVALID_MODEL where the config does not mean this module to have an adapter */
  checkTargeted(module: string, file: string): void {
    const { target_modules: targets, layers_to_transform: layers } = this.#config
    const refuse = (key: string, value: unknown) => {
      throw invalidModel(
        `${file}: holds an adapter of ${module}, which "${key}": ${JSON.stringify(value)} of ${this.#path} leaves out`,
      )
    }
    if (!isTargeted(module, targets, this.#path)) refuse('target_modules', targets)
    const layer = layerOf(module)
    if (isSet(layers) && layer !== undefined && ![layers].flat().includes(layer)) refuse('layers_to_transform', layers)
  }

  /** Whether a module is saved whole in a place of its own, so that what was tied to it is no more. */
  unties(module: string): boolean {
    const { modules_to_save: saved, ensure_weight_tying: isTied } = this.#config
    return !isTied && (saved ?? []).some((name) => module === name || module.endsWith(`.${name}`))
  }

  #byPattern(key: 'rank_pattern' | 'alpha_pattern', module: string): number | undefined {
    return this.#patterns[key].find(({ matches }) => matches.test(module))?.value
  }

  #patternsOf(key: 'rank_pattern' | 'alpha_pattern') {
    return Object.entries(this.#config[key] ?? {}).map(([pattern, value]) => ({
      matches: expression(`(?:.*\\.)?(?:${pattern})`, `${this.#path}: "${key}"`),
      value,
    }))
  }

  #checkSupported(): void {
    const unsupported = (key: string, value: unknown, what: string) => {
      const text = `${this.#path}: "${key}" is ${JSON.stringify(value)}; ${what}`
      throw new EngineError('ERR_ENGINE_UNSUPPORTED_MODEL', text)
    }
    const { peft_type, init_lora_weights: start } = this.#config
    if (peft_type !== 'LORA') unsupported('peft_type', peft_type, 'LORA adapters can be opened')
    if (typeof start === 'string' && !PLAIN_STARTS.has(start)) {
      const why = 'such a training changes the base too; save the adapter converted to plain LoRA, or merge it'
      unsupported('init_lora_weights', start, why)
    }
    for (const [key, value] of Object.entries(this.#config)) {
      if (key in configSchema.shape || WITHOUT_EFFECT.has(key) || !isSet(value)) continue
      unsupported(key, value, 'merge the adapter into its base with PEFT and open the result')
    }
  }
}

/** A list means modules by their names' ends, a text every name that it matches as a whole. */
function isTargeted(module: string, targets: Config['target_modules'], path: string): boolean {
  if (!targets || targets === 'all-linear') return true
  if (typeof targets === 'string') return expression(targets, `${path}: "target_modules"`).test(module)
  return targets.includes('all-linear') || targets.some((t) => module === t || module.endsWith(`.${t}`))
}

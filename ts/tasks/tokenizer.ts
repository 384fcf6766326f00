/**
 * A small byte-level BPE tokenizer trained on the tasks' own texts, as files a hub expects (`tokenizer.json`,
 * `tokenizer_config.json`): every text can be encoded, frequent words are one token, digits stand alone.
 * Training is the plain algorithm (Sennrich et al. 2016): merge the most frequent pair, ties by text order.
 */

/** GPT-2's printable stand-ins for the 256 bytes. */
function byteAlphabet(): string[] {
  const isPrintable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255)
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(isPrintable(b) ? b : next++))
}

/** Qwen2's pieces: contractions, words with the sign before them, single digits, runs of signs, spaces. */
const PIECES = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
const PIECES_JS = new RegExp(PIECES.replace('(?i:', '(?:'), 'gu')

const SPECIAL = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<img>',
  '</img>',
  '<IMG_CONTEXT>',
  '<quad>',
  '</quad>',
  '<ref>',
  '</ref>',
  '<box>',
  '</box>',
]

const CHAT_TEMPLATE =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n'}}{% endfor %}" +
  "{% if add_generation_prompt %}{{'<|im_start|>assistant\\n' }}{% endif %}"

interface Word {
  symbols: string[]
  count: number
}

function countWords(texts: Iterable<string>): Word[] {
  const alphabet = byteAlphabet()
  const counts = new Map<string, number>()
  for (const text of texts) for (const [piece] of text.matchAll(PIECES_JS)) counts.set(piece, (counts.get(piece) ?? 0) + 1)
  return [...counts].map(([piece, count]) => ({
    symbols: [...new TextEncoder().encode(piece)].map((b) => alphabet[b] as string),
    count,
  }))
}

function mostFrequentPair(words: readonly Word[]): [string, string] | undefined {
  const counts = new Map<string, number>()
  for (const { symbols, count } of words) {
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]} ${symbols[i]}`
      counts.set(pair, (counts.get(pair) ?? 0) + count)
    }
  }
  let best: [pair: string, count: number] | undefined
  for (const [pair, count] of counts) {
    if (count > 1 && (!best || count > best[1] || (count === best[1] && pair < best[0]))) best = [pair, count]
  }
  return best?.[0].split(' ') as [string, string] | undefined
}

function merge(words: readonly Word[], [left, right]: readonly [string, string]): void {
  for (const word of words) {
    const { symbols } = word
    for (let i = 1; i < symbols.length; i++)
      if (symbols[i - 1] === left && symbols[i] === right) symbols.splice(i - 1, 2, left + right)
  }
}

function trainMerges(texts: Iterable<string>, count: number): [string, string][] {
  const words = countWords(texts)
  const merges: [string, string][] = []
  while (merges.length < count) {
    const pair = mostFrequentPair(words)
    if (!pair) break
    merge(words, pair)
    merges.push(pair)
  }
  return merges
}

const addedToken = (content: string, id: number) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

/** Files of a tokenizer with about `vocabSize` ids, special tokens included. `texts` decide which words become tokens. */
export function trainTokenizer(
  texts: Iterable<string>,
  vocabSize: number,
): { files: Record<string, string>; vocabSize: number; ids: Record<string, number> } {
  const alphabet = byteAlphabet()
  const merges = trainMerges(texts, vocabSize - alphabet.length - SPECIAL.length)
  const pieces = [...alphabet.toSorted(), ...merges.map((pair) => pair.join(''))]
  const vocab = Object.fromEntries([...new Set(pieces)].map((piece, id) => [piece, id]))
  const base = Object.keys(vocab).length
  const ids = Object.fromEntries(SPECIAL.map((content, i) => [content, base + i]))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, i) => addedToken(content, base + i)),
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Split', pattern: { Regex: PIECES }, behavior: 'Isolated', invert: false }, byteLevel],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((pair) => pair.join(' ')),
    },
  }
  const { id: _, ...plain } = addedToken('', 0)
  const config = {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(SPECIAL.map((content, i) => [base + i, { ...plain, content }])),
    additional_special_tokens: SPECIAL.slice(1),
    bos_token: null,
    chat_template: CHAT_TEMPLATE,
    clean_up_tokenization_spaces: false,
    eos_token: '<|im_end|>',
    errors: 'replace',
    model_max_length: 2048,
    pad_token: '<|endoftext|>',
    split_special_tokens: false,
    tokenizer_class: 'Qwen2Tokenizer',
    unk_token: null,
  }
  const json = (value: unknown) => `${JSON.stringify(value, null, 1)}\n`
  return {
    files: { 'tokenizer.json': json(tokenizer), 'tokenizer_config.json': json(config) },
    vocabSize: base + SPECIAL.length,
    ids,
  }
}

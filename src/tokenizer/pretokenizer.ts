/**
 * Pre-tokenizers cut text into words; no token crosses a word border. Each is given twice: as regular expressions (in
 * `tokenizer.json`, run by Hugging Face's libraries) and as a scanner that is faster, works in linear time without a
 * backtracking stack, and is tested to be equal. Expressions from a file are compared with this table and never run. A
 * scanner cuts ill-formed text like the text with U+FFFD for lone surrogates.
 *
 * With several expressions, each splits the pieces of the previous one; unmatched text is a piece too. Classes are
 * Unicode's, as in the original tokenizers; llama.cpp approximates those of case by ASCII tests.
 */
import { SPACE, LETTERS, MARK, SIGNS } from './classes.ts'
import {
  coderRule,
  deepseekEnd,
  deepseekV3End,
  IDEOGRAPHS,
  llmRule,
  LLM_LETTERS,
  LLM_SIGNS,
  WIDE
} from './scan-deepseek.ts'
import { falconEnd, gpt2End } from './scan-gpt2.ts'
import { CAPITALS, casedEnd, llamaEnd } from './scan-llama.ts'
import { unitsOf } from './scan.ts'

export type PretokenizerName =
  | 'gpt-2'
  | 'smollm'
  | 'falcon'
  | 'default'
  | 'llama-bpe'
  | 'dbrx'
  | 'minicpm5'
  | 'qwen2'
  | 'qwen35'
  | 'seed-coder'
  | 'tekken'
  | 'gpt-4o'
  | 'deepseek-llm'
  | 'deepseek-coder'
  | 'deepseek-v3'
  | 'character'

export interface Pretokenizer {
  /** As GGUF's `tokenizer.ggml.pre` has it. */
  name: PretokenizerName
  /** Other names in GGUF files that mean the same. */
  aliases: readonly string[]
  /** Expressions written to tokenizer.json (Oniguruma dialect), in the order in which they split. */
  patterns: readonly string[]
  /** Other spellings of the same rule that are accepted when a tokenizer.json is read. */
  spellings: readonly (readonly string[])[]
  /** A word that is a token becomes that token, despite the merges (`ignore_merges`). */
  ignoreMerges: boolean
  /** A GGUF file with this rule implies a begin token before each text. */
  addsBegin: boolean
  /**
   * Set of classes whose characters, far behind a word, can still belong to it: its end is certain only once something
   * else was seen.
   */
  looksThrough: number
  /**
   * End of the word that starts at `start` in `text` (UTF-16 units; `start` < text.length). Looks at most 4 units past
   * it (and past `looksThrough`).
   */
  wordEnd: (text: string, start: number) => number
}

/** Radford et al. 2019, encoder.py; `\s` is Unicode's White_Space. */
const GPT2 = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
const GPT2_LONG = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/** The implicit expression of `ByteLevel` in a tokenizer.json, and `Digits` and `Punctuation` as expressions. */
export const BYTE_LEVEL = GPT2_LONG
export const DIGITS = '\\p{N}'
export const DIGIT_RUNS = '\\p{N}+'
export const PUNCTUATION_RUNS = '[\\p{P}\\$\\+<=>\\^~\\|`]+'

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const CAPITAL = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]'
const SMALL = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'

/** Llama 3's expression, from its tokenizer.json; those of Qwen, DBRX, GLM-4 and others differ in these places. */
const llama = (numbers: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`
/** Qwen 3.5's: a letter takes its marks with it. */
const MARKED =
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ` + `?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${SPACES}`
const SEED_CODER =
  `${CONTRACTIONS}|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ` + `?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+`
/**
 * o200k_base of tiktoken and the tokenizer.json of gpt-oss, Phi-4-mini and Llama 4; Mistral's tekken has no
 * contractions and single digits.
 */
const cased = (contractions: string, numbers: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${CAPITAL}*${SMALL}+${contractions}` +
  `|[^\\r\\n\\p{L}\\p{N}]?${CAPITAL}+${SMALL}*${contractions}|${numbers}` +
  `| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`
/** From the tokenizer.json of DeepSeek V3. */
const DEEPSEEK_V3 =
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ' +
  '?[\\p{P}\\p{S}]+[\\r\\n]*|' +
  SPACES

const none = { aliases: [], spellings: [], ignoreMerges: false, addsBegin: false, looksThrough: 0 } as const
const SPACED = 1 << SPACE
const plain = { letters: LETTERS, signs: SIGNS } as const

const llama3Rule = { ...plain, digits: 3 }
const qwenRule = { ...plain, digits: 1 }
const minicpmRule = { ...plain, digits: 3, numbersApart: true }
const seedRule = { ...plain, digits: 1, lineEndsApart: true }
const markedRule = { digits: 1, letters: LETTERS | (1 << MARK), signs: SIGNS & ~(1 << MARK) }

const rows: readonly Pretokenizer[] = [
  {
    ...none,
    name: 'gpt-2',
    aliases: [
      'mpt',
      'phi-2',
      'olmo',
      'jais',
      'trillion',
      'exaone4',
      'gigachat',
      'a.x-4.0',
      'mellum',
      'modern-bert',
      'granite-docling',
      'jina-es',
      'jina-de',
      'jina-v2-es',
      'jina-v2-de',
      'jina-v1-en',
      'jina-v2-code',
      'roberta-bpe'
    ],
    patterns: [GPT2],
    spellings: [
      [GPT2_LONG],
      ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s"]
    ],
    wordEnd: (text, start) => gpt2End(text, start, false)
  },
  {
    ...none,
    name: 'smollm',
    aliases: ['starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b', 'mellum2'],
    patterns: ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?![^\\s\\p{N}])|\\s+"],
    spellings: [[DIGITS, GPT2_LONG]],
    wordEnd: (text, start) => gpt2End(text, start, true)
  },
  {
    ...none,
    name: 'falcon',
    patterns: [PUNCTUATION_RUNS, GPT2_LONG, '[0-9][0-9][0-9]'],
    wordEnd: (text, start) => falconEnd(text, start, false)
  },
  {
    // llama.cpp's rule for files that name none.
    ...none,
    name: 'default',
    patterns: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2_LONG, DIGIT_RUNS, '[0-9][0-9][0-9]'],
    wordEnd: (text, start) => falconEnd(text, start, true)
  },
  {
    ...none,
    name: 'llama-bpe',
    aliases: ['llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2', 'jina-v5-nano'],
    patterns: [llama('\\p{N}{1,3}')],
    ignoreMerges: true,
    addsBegin: true,
    looksThrough: SPACED,
    wordEnd: (text, start) => llamaEnd(text, start, llama3Rule)
  },
  {
    ...none,
    name: 'dbrx',
    aliases: ['smaug-bpe', 'glm4', 'chatglm-bpe'],
    patterns: [llama('\\p{N}{1,3}')],
    looksThrough: SPACED,
    wordEnd: (text, start) => llamaEnd(text, start, llama3Rule)
  },
  {
    ...none,
    name: 'minicpm5',
    patterns: ['\\p{N}{1,3}', llama('\\p{N}+')],
    ignoreMerges: true,
    looksThrough: SPACED,
    wordEnd: (text, start) => llamaEnd(text, start, minicpmRule)
  },
  {
    ...none,
    name: 'qwen2',
    aliases: ['deepseek-r1-qwen', 'megrez', 'kormo', 'f2llmv2', 'stablelm2', 'hunyuan', 'solar-open', 'grok-2'],
    patterns: [llama('\\p{N}')],
    looksThrough: SPACED,
    wordEnd: (text, start) => llamaEnd(text, start, qwenRule)
  },
  {
    ...none,
    name: 'qwen35',
    patterns: [MARKED],
    looksThrough: SPACED,
    wordEnd: (text, start) => llamaEnd(text, start, markedRule)
  },
  {
    ...none,
    name: 'seed-coder',
    patterns: [SEED_CODER],
    looksThrough: SPACED,
    wordEnd: (text, start) => llamaEnd(text, start, seedRule)
  },
  {
    ...none,
    name: 'tekken',
    patterns: [cased('', '\\p{N}')],
    ignoreMerges: true,
    addsBegin: true,
    looksThrough: SPACED | CAPITALS,
    wordEnd: (text, start) => casedEnd(text, start, 1, false)
  },
  {
    ...none,
    name: 'gpt-4o',
    aliases: ['llama4', 'kanana2', 'talkie', 'minimax-m2'],
    patterns: [cased(`${CONTRACTIONS}?`, '\\p{N}{1,3}')],
    looksThrough: SPACED | CAPITALS,
    wordEnd: (text, start) => casedEnd(text, start, 3, true)
  },
  {
    ...none,
    name: 'deepseek-llm',
    patterns: ['[\r\n]', `\\s?[${LLM_LETTERS}]+`, `\\s?[${LLM_SIGNS}]+`, '\\s+$', `[${WIDE}]+`, DIGITS],
    looksThrough: SPACED,
    wordEnd: (text, start) => deepseekEnd(text, start, llmRule)
  },
  {
    ...none,
    name: 'deepseek-coder',
    patterns: ['[\r\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', `[${WIDE}]+`, DIGITS],
    wordEnd: (text, start) => deepseekEnd(text, start, coderRule)
  },
  {
    ...none,
    name: 'deepseek-v3',
    aliases: ['hunyuan-dense', 'joyai-llm', 'hy_v4'],
    patterns: ['\\p{N}{1,3}', `[${IDEOGRAPHS}]+`, DEEPSEEK_V3],
    looksThrough: SPACED,
    wordEnd: deepseekV3End
  },
  {
    ...none,
    name: 'character',
    patterns: ['[\\s\\S]'],
    ignoreMerges: true,
    wordEnd: (text, start) => start + unitsOf(text.codePointAt(start)!)
  }
]

const byName = new Map(rows.flatMap(row => [row.name, ...row.aliases].map(name => [name, row] as const)))

/** The pre-tokenizer of that name, or undefined. */
export function pretokenizer(name: string): Pretokenizer | undefined {
  return byName.get(name)
}

/** Names that GGUF files may give, in the order of the table. */
export const pretokenizerNames: readonly string[] = [...byName.keys()]

/**
 * The pre-tokenizer of expressions from a tokenizer.json, or undefined for unknown ones.
 * @param ignoreMerges of the file: several rules can have the same expressions
 */
export function pretokenizerOfPatterns(patterns: readonly string[], ignoreMerges: boolean): Pretokenizer | undefined {
  const same = (other: readonly string[]): boolean =>
    other.length === patterns.length && other.every((pattern, i) => unescaped(pattern) === unescaped(patterns[i]!))
  const found = rows.filter(row => [row.patterns, ...row.spellings].some(same))
  return found.find(row => row.ignoreMerges === ignoreMerges) ?? found[0]
}

/** Files write line ends as characters or as escapes. */
const unescaped = (pattern: string): string => pattern.replaceAll('\r', '\\r').replaceAll('\n', '\\n')

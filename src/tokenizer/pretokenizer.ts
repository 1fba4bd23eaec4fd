/**
 * Pre-tokenizers: they cut text into words, and no token crosses the border of a word. Each is given twice: as a regular
 * expression (what `tokenizer.json` says, what Hugging Face's libraries run) and as a scanner that is faster, works in linear
 * time without a backtracking stack, and is tested to be equal. Expressions read from a file are compared with this table and
 * never run.
 *
 * `gpt-2`: contractions; letters, numbers or other signs, each with one space before; whitespace, of which the last character is
 * left for the next word (Radford et al. 2019, encoder.py; `\s` is Unicode's White_Space).
 * `smollm`: the same with each number character a word of its own (without the space), as llama.cpp's pre-tokenizer of that name.
 * `llama-bpe`: Llama 3's: contractions in either case; letters with any one sign before; up to three number characters; signs with the
 * line ends after them; whitespace up to its last line end. Words that are tokens are not merged.
 * `qwen2`: the same with each number character a word of its own, and words that are tokens merged like others.
 * `character`: every Unicode character is a word.
 */
import { characterClass, LETTER, NUMBER, OTHER, SPACE } from './classes.ts'

export type PretokenizerName = 'gpt-2' | 'smollm' | 'llama-bpe' | 'qwen2' | 'character'

export interface Pretokenizer {
  name: PretokenizerName
  /** Expression written to tokenizer.json (Oniguruma dialect). */
  pattern: string
  /** Other spellings of the same rule that are accepted when a tokenizer.json is read. */
  aliases: readonly string[]
  /** A word that is a token becomes that token, whatever the merges say (`ignore_merges`). */
  ignoreMerges: boolean
  /** Whitespace far behind a word can belong to it: its end is certain only once something else was seen. */
  looksThroughSpace: boolean
  /** End of the word that starts at `start` in `text` (UTF-16 units; `start` < text.length). Looks at most 4 units past it (and past whitespace). */
  wordEnd: (text: string, start: number) => number
}

const APOSTROPHE = 0x27

/** Length of the contraction at `i` ('s 't 'm 'd 're 've 'll), or 0. */
function contraction(text: string, i: number): number {
  const a = text.charCodeAt(i + 1)
  if (a === 0x73 || a === 0x74 || a === 0x6d || a === 0x64) return 2
  const b = text.charCodeAt(i + 2)
  return ((a === 0x72 || a === 0x76) && b === 0x65) || (a === 0x6c && b === 0x6c) ? 3 : 0
}

/** End of the run of characters of class `c` that starts at `i`. */
function runEnd(text: string, i: number, c: number): number {
  while (i < text.length) {
    const p = text.codePointAt(i)!
    if (characterClass(p) !== c) break
    i += p > 0xffff ? 2 : 1
  }
  return i
}

function gpt2End(text: string, start: number, digitsSingly: boolean): number {
  let i = start
  let p = text.codePointAt(i)!
  if (p === APOSTROPHE) {
    const length = contraction(text, i)
    if (length > 0) return i + length
  }
  let c = characterClass(p)
  if (p === 0x20 && i + 1 < text.length) {
    const q = text.codePointAt(i + 1)!
    const d = characterClass(q)
    if (d !== SPACE && !(d === NUMBER && digitsSingly)) {
      i++
      p = q
      c = d
    }
  }
  if (c === LETTER || c === OTHER) return runEnd(text, i, c)
  if (c === NUMBER) return digitsSingly ? i + (p > 0xffff ? 2 : 1) : runEnd(text, i, NUMBER)
  const end = runEnd(text, i, SPACE) // every White_Space character is one UTF-16 unit
  if (end === text.length || end - start === 1) return end
  // The last whitespace character belongs to what follows, unless that is a number that stands alone.
  return digitsSingly && characterClass(text.codePointAt(end)!) === NUMBER ? end : end - 1
}

const isLineEnd = (unit: number): boolean => unit === 0x0a || unit === 0x0d

function llamaEnd(text: string, start: number, digits: number): number {
  const p = text.codePointAt(start)!
  if (p === APOSTROPHE) {
    const length = contraction(text.slice(start, start + 3).toLowerCase(), 0)
    if (length > 0) return start + length
  }
  const c = characterClass(p)
  const second = start + (p > 0xffff ? 2 : 1)
  const d = second < text.length ? characterClass(text.codePointAt(second)!) : -1
  if (c === LETTER || (d === LETTER && c !== NUMBER && !isLineEnd(p))) return runEnd(text, second, LETTER)
  if (c === NUMBER) {
    let i = second
    for (let n = 1; n < digits && i < text.length; n++) {
      const q = text.codePointAt(i)!
      if (characterClass(q) !== NUMBER) break
      i += q > 0xffff ? 2 : 1
    }
    return i
  }
  if (c === OTHER || (p === 0x20 && d === OTHER)) {
    let i = runEnd(text, second, OTHER)
    while (i < text.length && isLineEnd(text.charCodeAt(i))) i++
    return i
  }
  const end = runEnd(text, start, SPACE)
  for (let i = end; i > start; i--) if (isLineEnd(text.charCodeAt(i - 1))) return i
  return end === text.length || end - start === 1 ? end : end - 1
}

const rows: readonly Pretokenizer[] = [
  {
    name: 'gpt-2',
    pattern: "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
    aliases: [
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
      "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
    ],
    ignoreMerges: false,
    looksThroughSpace: false,
    wordEnd: (text, start) => gpt2End(text, start, false),
  },
  {
    name: 'smollm',
    pattern: "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?![^\\s\\p{N}])|\\s+",
    aliases: [],
    ignoreMerges: false,
    looksThroughSpace: false,
    wordEnd: (text, start) => gpt2End(text, start, true),
  },
  {
    name: 'llama-bpe',
    pattern: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    aliases: [],
    ignoreMerges: true,
    looksThroughSpace: true,
    wordEnd: (text, start) => llamaEnd(text, start, 3),
  },
  {
    name: 'qwen2',
    pattern: "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    aliases: [],
    ignoreMerges: false,
    looksThroughSpace: true,
    wordEnd: (text, start) => llamaEnd(text, start, 1),
  },
  {
    name: 'character',
    pattern: '[\\s\\S]',
    aliases: [],
    ignoreMerges: true,
    looksThroughSpace: false,
    wordEnd: (text, start) => start + (text.codePointAt(start)! > 0xffff ? 2 : 1),
  },
]

/** The pre-tokenizer of that name, or undefined. */
export function pretokenizer(name: string): Pretokenizer | undefined {
  return rows.find(r => r.name === name)
}

/** The pre-tokenizer that a regular expression from a tokenizer.json stands for, or undefined when it is none of ours. */
export function pretokenizerOfPattern(pattern: string): Pretokenizer | undefined {
  return rows.find(r => r.pattern === pattern || r.aliases.includes(pattern))
}

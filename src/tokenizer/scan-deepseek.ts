/** Scanners of DeepSeek's rules: several splits in turn, each of the pieces of the one before. */
import {
  characterClass,
  isOf,
  LETTERS,
  LOWERCASE,
  MARK,
  NUMBER,
  OTHER,
  PUNCTUATION,
  setOf,
  SPACE,
  SYMBOL,
  UPPERCASE
} from './classes.ts'
import { isLineEnd, lastLineEnd, lineEndsEnd, numbersEnd, spaceWordEnd, spacesEnd, unitsOf } from './scan.ts'

/**
 * Inside of the character class by which DeepSeek LLM tells letters: those of Latin, Greek, Cyrillic and other scripts
 * with case.
 */
export const LLM_LETTERS =
  'A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}' +
  '\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}' +
  '\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}' +
  '\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}' +
  '\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}' +
  '\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}' +
  '\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}' +
  '\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}' +
  '\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}' +
  '\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}' +
  '\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}' +
  '\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}' +
  '\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}' +
  '\u{1e900}-\u{1e943}'
/** And punctuation, with the letters of ASCII and their full-width forms: these are split from other letters. */
export const LLM_SIGNS = '!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}'
/**
 * Characters that the older rules split from others: all from U+0800 to the last ideograph of Unicode 1.1, and Hangul.
 */
export const WIDE = '\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}'
/** Those of version 3: ideographs and kana. */
export const IDEOGRAPHS = '\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}'

const isWide = (p: number): boolean => (p >= 0x800 && p <= 0x9fa5) || (p >= 0xac00 && p <= 0xd7ff)
const isIdeograph = (p: number): boolean => (p >= 0x4e00 && p <= 0x9fa5) || (p >= 0x3040 && p <= 0x30ff)

const WORD = LETTERS | (1 << MARK)
const SIGN = setOf(PUNCTUATION, SYMBOL)

/**
 * The rule of DeepSeek V3 and R1: groups of three number characters; runs of ideographs and kana; in the rest, an ASCII
 * sign with following ASCII letters, letters and marks with one sign before, punctuation and symbols with following
 * line ends, whitespace as in Llama's rule. Unmatched text is a word of its own.
 */
export function deepseekV3End(text: string, start: number): number {
  const p = text.codePointAt(start)!
  const c = characterClass(p)
  if (c === NUMBER) return numbersEnd(text, start, 3)
  const wide = isIdeograph(p)
  /** Whether a character of `set` follows at `i` in the same piece. */
  const follows = (i: number, set: number): boolean => {
    if (i >= text.length) return false
    const q = text.codePointAt(i)!
    return isOf(q, set) && isIdeograph(q) === wide
  }
  const run = (i: number, set: number): number => {
    while (follows(i, set)) i += unitsOf(text.codePointAt(i)!)
    return i
  }
  const second = start + unitsOf(p)
  if (isAsciiSign(p) && second < text.length && isAsciiLetter(text.charCodeAt(second))) {
    let i = second
    while (i < text.length && isAsciiLetter(text.charCodeAt(i))) i++
    return i
  }
  if (isOf(p, WORD) || (!isOf(p, SIGN) && !isLineEnd(p) && follows(second, WORD))) return run(second, WORD)
  if (isOf(p, SIGN) || (p === 0x20 && follows(second, SIGN))) {
    const end = run(second, SIGN)
    return wide ? end : lineEndsEnd(text, end)
  }
  if (c === SPACE) {
    const end = spacesEnd(text, start)
    const q = end < text.length ? text.codePointAt(end)! : -1
    return (
      lastLineEnd(text, start, end) || spaceWordEnd(start, end, q < 0 || characterClass(q) === NUMBER || isIdeograph(q))
    )
  }
  // The last of these signs can stand before a word.
  let i = second
  while (follows(i, 1 << OTHER)) {
    const next = i + unitsOf(text.codePointAt(i)!)
    if (follows(next, WORD)) break
    i = next
  }
  return i
}

const isAsciiSign = (p: number): boolean => p < 0x80 && isOf(p, SIGN)
const isAsciiLetter = (p: number): boolean => p < 0x80 && isOf(p, setOf(UPPERCASE, LOWERCASE))

/** Difference between the two older rules. */
export interface DeepseekRule {
  isLetter: (codePoint: number) => boolean
  isSign: (codePoint: number) => boolean
  /** Whitespace at the end of a piece is split off. */
  trailingApart: boolean
}

/** A test for the characters of the inside of a character class, which must not hold `-` as a character. */
function among(ranges: string): (codePoint: number) => boolean {
  let table: Uint8Array | undefined
  return p => {
    if (table === undefined) {
      table = new Uint8Array(0x110000)
      for (const [, from, to] of ranges.matchAll(/(.)(?:-(.))?/gsu))
        table.fill(1, from!.codePointAt(0)!, (to ?? from)!.codePointAt(0)! + 1)
    }
    return table[p] === 1
  }
}

export const coderRule: DeepseekRule = {
  isLetter: p => isOf(p, LETTERS),
  isSign: p => characterClass(p) === PUNCTUATION,
  trailingApart: false
}
export const llmRule: DeepseekRule = { isLetter: among(LLM_LETTERS), isSign: among(LLM_SIGNS), trailingApart: true }

/**
 * The rules of DeepSeek LLM and DeepSeek Coder: each line end; letters with one whitespace character before;
 * punctuation likewise; in one of them whitespace at the end of a piece; runs of wide characters; each number
 * character.
 */
export function deepseekEnd(text: string, start: number, rule: DeepseekRule): number {
  const p = text.codePointAt(start)!
  if (isLineEnd(p) || characterClass(p) === NUMBER) return start + unitsOf(p)
  const wide = isWide(p)
  const closes = closing(text, start, rule)
  const ends = (i: number): boolean => {
    if (i >= text.length || closes(i)) return true
    const q = text.codePointAt(i)!
    return isWide(q) !== wide || characterClass(q) === NUMBER
  }
  let i = start
  // Whitespace that begins a word ends where the word does, or goes on with it.
  if (rule.trailingApart && isSpace(p)) {
    do i++
    while (!ends(i) && isSpace(text.codePointAt(i)!))
    if (ends(i)) return i
  }
  let spaces = i
  for (;;) {
    i += unitsOf(text.codePointAt(i)!)
    if (ends(i)) return i
    if (rule.trailingApart && i >= spaces && isSpace(text.codePointAt(i)!)) {
      spaces = i + 1
      while (spaces < text.length && !closes(spaces) && isSpace(text.codePointAt(spaces)!)) spaces++
      if (spaces >= text.length || closes(spaces)) return i
    }
  }
}

const isSpace = (q: number): boolean => characterClass(q) === SPACE && !isLineEnd(q)

/**
 * Says whether the piece that the first three splits make, which begins at `start`, ends at a place behind that and
 * before the end of the text.
 */
function closing(text: string, start: number, { isLetter, isSign }: DeepseekRule): (i: number) => boolean {
  /**
   * Whether letters, or punctuation, begin at `i`, with whitespace before or not. Whitespace can be punctuation here.
   */
  const begins = (i: number, is: (codePoint: number) => boolean): boolean => {
    const q = text.codePointAt(i)!
    return is(q) || (isSpace(q) && i + 1 < text.length && is(text.codePointAt(i + 1)!))
  }
  const beginsSigns = (i: number): boolean =>
    begins(i, isSign) && !begins(i, isLetter) && (isSign(text.codePointAt(i)!) || !begins(i + 1, isLetter))
  if (begins(start, isLetter)) {
    const first = text.codePointAt(start)!
    const signs = isSign(isLetter(first) ? first : text.codePointAt(start + 1)!)
    return i => !isLetter(text.codePointAt(i)!) || isSign(text.codePointAt(i)!) !== signs
  }
  if (beginsSigns(start)) return i => !isSign(text.codePointAt(i)!) || begins(i, isLetter)
  return i => isLineEnd(text.codePointAt(i)!) || begins(i, isLetter) || beginsSigns(i)
}

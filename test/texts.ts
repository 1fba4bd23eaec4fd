/** Random texts for tests of tokenizers: what pre-tokenizers tell apart, in runs, among any Unicode. */
import fc from 'fast-check'
import * as classes from '../src/tokenizer/classes.ts'

const pieces = [
  ' ',
  '  ',
  '\n',
  '\t',
  '\r\n',
  '\u00a0',
  '\u2003',
  '\u0085',
  '\ufeff',
  '\u3000',
  "'",
  "'s",
  "'ll",
  "'l",
  "'re",
  "'v",
  'a',
  'the',
  'zz',
  'É',
  'ß',
  '語',
  'ि',
  '1',
  '1234',
  '\n\n',
  '\r',
  "'S",
  "'Ll",
  "'ſ",
  '(a',
  '٣',
  '½',
  '𝟘',
  '.',
  '--',
  '…',
  '👍',
  '👩‍👩‍👧',
  '🇩🇪',
  '\u0000',
  '\ufffd',
  '<|endoftext|>',
  '<|user|>',
  '<|',
  '|>',
  '𐐷',
  'e\u0301'
]

/** Characters of every class by which some rule splits, and of the borders of the ranges by which others do. */
const classed = [
  'A',
  'B',
  'Ж',
  'ж',
  'ǅ',
  'ʰ',
  'ª',
  '漢',
  '字',
  'か',
  'カ',
  '・',
  '゙',
  '゜',
  '\u3040',
  '〇',
  '龥',
  '龦',
  'ࠀ',
  '߿',
  '한',
  '\ud7ff',
  'ꯍ',
  '𐐀',
  '𞤢',
  '𝒳',
  '\u0301',
  '\u093f',
  '\u20dd',
  '٤',
  '²',
  'Ⅷ',
  '$',
  '+',
  '€',
  '←',
  '`',
  '~',
  '^',
  '|',
  '/',
  '\\',
  '_',
  '-',
  '«',
  '。',
  '、',
  '～',
  'Ａ',
  '“',
  '\u200d',
  '\u00ad',
  '\ue000',
  '\u0378',
  '\u2028',
  '\u2002',
  'abc',
  'ABC',
  'Abc',
  'x1',
  '123',
  "'RE",
  "'d",
  '\r\n ',
  ' .',
  '.a',
  ' \n'
]

const properties: readonly (readonly [number, RegExp])[] = [
  [classes.LETTERS, /\p{L}/u],
  [1 << classes.NUMBER, /\p{N}/u],
  [1 << classes.MARK, /\p{M}/u],
  [1 << classes.PUNCTUATION, /\p{P}/u],
  [1 << classes.SYMBOL, /\p{S}/u],
  [1 << classes.UPPERCASE, /\p{Lu}/u],
  [1 << classes.LOWERCASE, /\p{Ll}/u]
]

/**
 * Whether the engine's Unicode version and our table agree on each character: what is compared with regular expressions
 * must.
 */
const agreed = (text: string): boolean =>
  [...text].every(c => properties.every(([set, property]) => property.test(c) === classes.isOf(c.codePointAt(0)!, set)))

/** Well-formed text. */
export const anyText = fc
  .oneof(
    fc.array(fc.constantFrom(...pieces), { maxLength: 24 }).map(p => p.join('')),
    fc.array(fc.constantFrom(...pieces, ...classed), { maxLength: 24 }).map(p => p.join('')),
    fc.string({ unit: 'grapheme', maxLength: 24 }),
    fc.string({ unit: 'binary', maxLength: 24 })
  )
  .filter(agreed)

/** Text that may hold lone surrogates. */
export const brokenText = fc
  .array(
    fc.oneof(
      anyText,
      fc.integer({ min: 0xd800, max: 0xdfff }).map(u => String.fromCharCode(u))
    ),
    { maxLength: 6 }
  )
  .map(p => p.join(''))

/** Cuts a text into pieces at any UTF-16 unit. */
export function cut(text: string, at: readonly number[]): string[] {
  const places = [...new Set([0, ...at.map(n => n % (text.length + 1)), text.length])].sort((a, b) => a - b)
  return places.slice(1).map((end, i) => text.slice(places[i], end))
}

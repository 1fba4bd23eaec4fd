/** Random texts for tests of tokenizers: what pre-tokenizers tell apart, in runs, among any Unicode. */
import fc from 'fast-check'
import { characterClass, LETTER, NUMBER } from '../src/tokenizer/classes.ts'

const pieces = [
  ' ', '  ', '\n', '\t', '\r\n', '\u00a0', '\u2003', '\u0085', '\ufeff', '\u3000', "'", "'s", "'ll", "'l", "'re", "'v", 'a', 'the', 'zz', 'É', 'ß', '語', 'ि', '1', '1234', '\n\n', '\r', "'S", "'Ll", "'ſ", '(a', '٣', '½', '𝟘',
  '.', '--', '…', '👍', '👩‍👩‍👧', '🇩🇪', '\u0000', '\ufffd', '<|endoftext|>', '<|user|>', '<|', '|>', '𐐷', 'e\u0301',
]

/** Whether the engine's Unicode version and our table agree on each character: what is compared with regular expressions must. */
const agreed = (text: string): boolean => [...text].every(c => {
  const k = characterClass(c.codePointAt(0)!)
  return /\p{L}/u.test(c) === (k === LETTER) && /\p{N}/u.test(c) === (k === NUMBER)
})

/** Well-formed text. */
export const anyText = fc.oneof(
  fc.array(fc.constantFrom(...pieces), { maxLength: 24 }).map(p => p.join('')),
  fc.string({ unit: 'grapheme', maxLength: 24 }),
  fc.string({ unit: 'binary', maxLength: 24 }),
).filter(agreed)

/** Text that may hold lone surrogates. */
export const brokenText = fc.array(fc.oneof(anyText, fc.integer({ min: 0xd800, max: 0xdfff }).map(u => String.fromCharCode(u))), { maxLength: 6 })
  .map(p => p.join(''))

/** Cuts a text into pieces at any UTF-16 unit. */
export function cut(text: string, at: readonly number[]): string[] {
  const places = [...new Set([0, ...at.map(n => n % (text.length + 1)), text.length])].sort((a, b) => a - b)
  return places.slice(1).map((end, i) => text.slice(places[i], end))
}

/** Shared by the scanners of several pre-tokenizers. Positions are UTF-16 units. */
import { characterClass, isOf, NUMBER, SPACE } from './classes.ts'

const APOSTROPHE = 0x27

/** UTF-16 units of a code point. */
export const unitsOf = (codePoint: number): number => (codePoint > 0xffff ? 2 : 1)

export const isLineEnd = (codePoint: number): boolean => codePoint === 0x0a || codePoint === 0x0d

/** End of the run of characters with a class in `set` that starts at `i`. */
export function runEnd(text: string, i: number, set: number): number {
  while (i < text.length) {
    const p = text.codePointAt(i)!
    if (!isOf(p, set)) break
    i += unitsOf(p)
  }
  return i
}

/** End of the line ends that start at `i`. */
export function lineEndsEnd(text: string, i: number): number {
  while (i < text.length && isLineEnd(text.charCodeAt(i))) i++
  return i
}

/** Every White_Space character is one UTF-16 unit. */
const SPACES = 1 << SPACE

export const spacesEnd = (text: string, i: number): number => runEnd(text, i, SPACES)

/**
 * `\s+(?!\S)|\s+` for the whitespace from `start` to `end`: all of it at the end of a piece, otherwise all but the last
 * character, which belongs to the next word.
 * @param closed whether a piece ends at `end`
 */
export function spaceWordEnd(start: number, end: number, closed: boolean): number {
  return closed || end - start === 1 ? end : end - 1
}

/** `\s*[\r\n]+` for the whitespace from `start` to `end`: the end behind its last line end, or 0. */
export function lastLineEnd(text: string, start: number, end: number): number {
  for (let i = end; i > start; i--) if (isLineEnd(text.charCodeAt(i - 1))) return i
  return 0
}

/** End of a group of up to `most` number characters that starts at `i`. */
export function numbersEnd(text: string, i: number, most: number): number {
  for (let n = 0; n < most && i < text.length; n++) {
    const p = text.codePointAt(i)!
    if (characterClass(p) !== NUMBER) break
    i += unitsOf(p)
  }
  return i
}

/** Length of the contraction at `i` ('s 't 'm 'd 're 've 'll), or 0. */
export function contraction(text: string, i: number): number {
  if (text.charCodeAt(i) !== APOSTROPHE) return 0
  const a = text.charCodeAt(i + 1)
  if (a === 0x73 || a === 0x74 || a === 0x6d || a === 0x64) return 2
  const b = text.charCodeAt(i + 2)
  return ((a === 0x72 || a === 0x76) && b === 0x65) || (a === 0x6c && b === 0x6c) ? 3 : 0
}

/** Case-insensitive. U+017F, which Unicode folds to s, does not count: libraries disagree on it. */
export function contractionInAnyCase(text: string, i: number): number {
  return text.charCodeAt(i) === APOSTROPHE ? contraction(text.slice(i, i + 3).toLowerCase(), 0) : 0
}

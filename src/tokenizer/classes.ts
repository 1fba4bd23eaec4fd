/**
 * Classes of Unicode characters that pre-tokenizers tell apart. The tables come from the JavaScript engine's own Unicode data
 * (Node 24: Unicode 16), so that they equal the regular expressions `\p{L}`, `\p{N}` and `\p{White_Space}` there.
 */

export const OTHER = 0
export const LETTER = 1
export const NUMBER = 2
export const SPACE = 3

const letter = /^\p{L}$/u
const number = /^\p{N}$/u
const space = /^\p{White_Space}$/u

function classify(codePoint: number): number {
  const c = String.fromCodePoint(codePoint)
  return letter.test(c) ? LETTER : number.test(c) ? NUMBER : space.test(c) ? SPACE : OTHER
}

/** Class + 1 by code point, 0 while unknown: filled as characters are met, so that a start costs nothing. */
const known = new Uint8Array(0x110000)

/** Class of a code point (0 to 0x10ffff; a lone surrogate is OTHER, as is the U+FFFD that replaces it). */
export function characterClass(codePoint: number): number {
  const k = known[codePoint]!
  if (k !== 0) return k - 1
  const c = classify(codePoint)
  known[codePoint] = c + 1
  return c
}

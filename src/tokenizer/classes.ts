/** Classes of Unicode characters that pre-tokenizers tell apart, from a table of our own: the same on every version of Node. */
import { letters, numbers } from './unicode-ranges.ts'

export const OTHER = 0
export const LETTER = 1
export const NUMBER = 2
export const SPACE = 3

const classes = new Uint8Array(0x110000)
for (const [lines, c] of [[letters, LETTER], [numbers, NUMBER]] as const) {
  let at = 0
  let take = false
  for (const word of lines.join(' ').split(' ')) {
    const n = Number.parseInt(word, 36)
    if (take) classes.fill(c, at, at + n)
    at += n
    take = !take
  }
}
// White_Space, which Unicode has kept as it is since 2013 (version 6.3).
for (const p of [9, 10, 11, 12, 13, 0x20, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000]) classes[p] = SPACE
classes.fill(SPACE, 0x2000, 0x200b)

/** Class of a code point (0 to 0x10ffff; a lone surrogate is OTHER, as is the U+FFFD that replaces it). */
export function characterClass(codePoint: number): number {
  return classes[codePoint]!
}

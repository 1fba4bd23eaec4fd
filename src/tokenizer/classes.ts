/**
 * Classes of Unicode characters that pre-tokenizers tell apart, from a table of our own: the same on every version of
 * Node.
 */
import { categoryRuns } from './unicode-ranges.ts'

/** General categories; White_Space is a separate class, whatever category its characters have. */
export const OTHER = 0
export const UPPERCASE = 1
export const LOWERCASE = 2
export const TITLECASE = 3
export const MODIFIER = 4
export const OTHER_LETTER = 5
export const MARK = 6
export const NUMBER = 7
export const PUNCTUATION = 8
export const SYMBOL = 9
export const SPACE = 10

/** A set of classes: one bit for each. */
export const setOf = (...of: readonly number[]): number => of.reduce((set, c) => set | (1 << c), 0)

/** `\p{L}` */
export const LETTERS = setOf(UPPERCASE, LOWERCASE, TITLECASE, MODIFIER, OTHER_LETTER)
/** `[^\s\p{L}\p{N}]` */
export const SIGNS = setOf(OTHER, MARK, PUNCTUATION, SYMBOL)

const codes = 'ultmxknps'
const classes = new Uint8Array(0x110000)
let at = 0
const take = (runs: string): void => {
  for (const [, code, length] of runs.matchAll(/([a-z])(\d+)/g)) {
    classes.fill(codes.indexOf(code!) + 1, at, at + Number(length))
    at += Number(length)
  }
}
for (const [, runs, pairs, run] of categoryRuns.join('').matchAll(/\(([a-z0-9]+)\)(\d+)|([a-z]\d+)/g)) {
  if (run === undefined) for (let i = 0; i < Number(pairs); i++) take(runs!)
  else take(run)
}
// A lone surrogate counts as U+FFFD, a symbol.
classes.fill(SYMBOL, 0xd800, 0xe000)
// White_Space, unchanged in Unicode since 2013 (version 6.3).
for (const p of [9, 10, 11, 12, 13, 0x20, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000])
  classes[p] = SPACE
classes.fill(SPACE, 0x2000, 0x200b)

/** Class of a code point, 0 to 0x10ffff. */
export function characterClass(codePoint: number): number {
  return classes[codePoint]!
}

/** Whether the class of a code point is in the set. */
export function isOf(codePoint: number, set: number): boolean {
  return ((set >> classes[codePoint]!) & 1) === 1
}

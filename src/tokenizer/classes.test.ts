import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as classes from './classes.ts'
import { UNICODE_VERSION } from './unicode-ranges.ts'

const properties: readonly (readonly [number, RegExp])[] = [
  [classes.SPACE, /\p{White_Space}/u],
  [classes.UPPERCASE, /\p{Lu}/u],
  [classes.LOWERCASE, /\p{Ll}/u],
  [classes.TITLECASE, /\p{Lt}/u],
  [classes.MODIFIER, /\p{Lm}/u],
  [classes.OTHER_LETTER, /\p{Lo}/u],
  [classes.MARK, /\p{M}/u],
  [classes.NUMBER, /\p{N}/u],
  [classes.PUNCTUATION, /\p{P}/u],
  [classes.SYMBOL, /\p{S}/u]
]

test(
  'the table is that of Unicode: every character on the same version, all of the first plane that it has on ' +
    'another',
  () => {
    const same = process.versions['unicode'] === UNICODE_VERSION
    for (let p = 0; p < 0x110000; p++) {
      const c = String.fromCodePoint(p)
      if (!same && /\p{Cn}/u.test(c)) continue
      if (p >= 0xd800 && p < 0xe000) continue
      const expected = properties.find(([, property]) => property.test(c))?.[0] ?? classes.OTHER
      if (same || p < 0x3000) assert.equal(classes.characterClass(p), expected, p.toString(16))
    }
  }
)

test('a lone surrogate has the class of U+FFFD, which replaces it', () => {
  for (const p of [0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfffd]) assert.equal(classes.characterClass(p), classes.SYMBOL)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { characterClass, LETTER, NUMBER, OTHER, SPACE } from './classes.ts'
import { UNICODE_VERSION } from './unicode-ranges.ts'

test('the table is that of Unicode: every character on the same version, all of the first plane that it has on another', () => {
  const same = process.versions['unicode'] === UNICODE_VERSION
  for (let p = 0; p < 0x110000; p++) {
    const c = String.fromCodePoint(p)
    if (!same && /\p{Cn}/u.test(c)) continue
    const expected = /\p{L}/u.test(c) ? LETTER : /\p{N}/u.test(c) ? NUMBER : /\p{White_Space}/u.test(c) ? SPACE : OTHER
    if (same || p < 0x3000) assert.equal(characterClass(p), expected, p.toString(16))
  }
})

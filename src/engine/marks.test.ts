import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { finish } from '../lib/steps.ts'
import { freeMark, marked, unmarked } from './marks.ts'

test('each character but white space has a mark behind it, and without the marks the text is what it was', () => {
  const part = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(' \n\t', '\u00a0\u2003\ufeff', '👍👩‍👩‍👧', 'a'.repeat(20_000))
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), parts => {
      const text = parts.join('')
      const mark = finish(freeMark([text]))
      const character = String.fromCharCode(mark)
      assert.ok(!text.includes(character))
      const changed = finish(marked(text, mark))
      assert.equal(
        changed,
        text.replace(/\S/gu, c => c + character)
      )
      assert.equal(finish(unmarked(changed, mark)), text)
    }),
    { numRuns: 60 }
  )
})

test('the free mark is the first that no text has; one pass over the texts finds it, and none left is an error', () => {
  const all = Array.from({ length: 0x1900 }, (_, i) => String.fromCharCode(0xe000 + i))
  assert.equal(finish(freeMark([])), 0xe000)
  assert.equal(finish(freeMark(['a\ue000', '\ue002\ue001'])), 0xe003)
  const text = 'x'.repeat(1 << 17) + all.filter(c => c !== '\uf8ff').join('')
  const steps = freeMark([text])
  let n = 1
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) {
      assert.equal(step.value, 0xf8ff)
      break
    }
    n++
  }
  assert.ok(n >= 8 && n <= 16, `${n} steps`)
  assert.throws(() => finish(freeMark([all.join('')])), { code: 'VERIT_CHAT' })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { referenceExecutor } from '../exec/reference.ts'
import { VeritError } from '../lib/errors.ts'
import { chooseTernaryPacking } from './ternary-packing.ts'

const refused =
  (pattern: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, 'VERIT_USAGE') && pattern.test(e.message)

test('a packing of ternary weights follows the machine, unless an option or the environment names one', () => {
  const [permutes, plain] = [{ bytePermutes: true }, referenceExecutor()]
  const before = process.env['VERIT_PACKING']
  try {
    delete process.env['VERIT_PACKING']
    const chosen = [permutes, plain].flatMap(e =>
      [undefined, 'auto', 'base3', 'two-bit'].map(o => chooseTernaryPacking(e, o))
    )
    assert.deepEqual(chosen, ['base3', 'base3', 'base3', 'two-bit', 'two-bit', 'two-bit', 'base3', 'two-bit'])
    process.env['VERIT_PACKING'] = 'base3'
    assert.deepEqual([chooseTernaryPacking(plain), chooseTernaryPacking(plain, 'two-bit')], ['base3', 'two-bit'])
    process.env['VERIT_PACKING'] = 'tight'
    assert.throws(() => chooseTernaryPacking(plain), refused(/VERIT_PACKING names no packing/))
  } finally {
    if (before === undefined) delete process.env['VERIT_PACKING']
    else process.env['VERIT_PACKING'] = before
  }
  assert.throws(() => chooseTernaryPacking(plain, 'tight'), refused(/"tight" names no packing/))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { processorList } from './processor-list.ts'

test('a list of processors is read as Linux writes it', () => {
  assert.deepEqual(
    [processorList('0'), processorList('0-3,8'), processorList('5,1-2,2,8191')],
    [[0], [0, 1, 2, 3, 8], [1, 2, 5, 8191]]
  )
})

test('what is no list, or beyond any machine, is none', () => {
  for (const text of [
    undefined,
    '',
    ' ',
    '-',
    '1-',
    '-1',
    '3-1',
    '0,',
    ',0',
    '0;1',
    '0 1',
    '1.5',
    '0x1',
    '8192',
    '0-99999',
    'all',
    '0-3:1/2',
    '0\n',
    '٣',
    '0,'.repeat(30_000)
  ])
    assert.equal(processorList(text), undefined, text?.slice(0, 20))
})

test('any ranges give what they span, however they lie', () => {
  const range = fc.tuple(fc.nat(8191), fc.nat(40)).map(([from, more]) => [from, Math.min(8191, from + more)] as const)
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 20 }), ranges => {
      const listed = processorList(ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(','))!
      assert.deepEqual(
        listed,
        [...new Set(ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)))].sort(
          (a, b) => a - b
        )
      )
    })
  )
})

test('no text at all brings it down or makes much of little', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9,-]{0,30}$/)), text => {
      const listed = processorList(text)
      assert.ok(
        listed === undefined ||
          (listed.length > 0 && listed.length <= 8192 && listed.every(cpu => cpu >= 0 && cpu < 8192))
      )
    })
  )
})

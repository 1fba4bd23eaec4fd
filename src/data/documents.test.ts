/**
 * Cleaning, cutting into documents and what makes documents equal: each must not depend on how the text was cut into
 * pieces.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { Cleaner } from './clean.ts'
import { DigestSet } from './digest-set.ts'
import { DocumentKey } from './document-key.ts'
import { DocumentSplitter } from './document-splitter.ts'
import type { DataFormat } from './document-splitter.ts'
import { characterIndex, contentSide, countCharacters, tailTrainCharacters } from './split.ts'

const text = fc.array(
  fc.constantFrom(
    'a',
    'bc',
    'é',
    '👍',
    ' ',
    '  ',
    '\n',
    '\n\n',
    '\r\n',
    '\r',
    '\t',
    '\u2003',
    '\ufeff',
    '\u0000',
    '\u0085'
  ),
  { maxLength: 30 }
)
const pieces = fc.array(
  text.map(t => t.join('')),
  { maxLength: 5 }
)

function clean(list: readonly string[]): string {
  const cleaner = new Cleaner()
  return list.map(p => cleaner.push(p)).join('') + cleaner.end()
}

function split(list: readonly string[], format: DataFormat, collapse = false): string[] {
  const out: string[] = []
  let open = ''
  const splitter = new DocumentSplitter(format, collapse, {
    text: piece => {
      open += piece
    },
    end: () => {
      out.push(open)
      open = ''
    }
  })
  for (const piece of list) splitter.push(piece)
  splitter.end()
  return out
}

test('cleaning does not depend on the pieces, and clean text stays as it is', () => {
  fc.assert(
    fc.property(pieces, list => {
      const whole = clean([list.join('')])
      assert.equal(clean(list), whole)
      if (!whole.startsWith('\ufeff')) assert.equal(clean([whole]), whole)
    })
  )
})

test('cleaning takes out what is no text and nothing else', () => {
  assert.equal(clean(['\ufeffa\u0000b\u001b[31m\r', '\nc\r\rd\u0085\u007f\te\ufeff']), 'ab[31m\nc\n\nd\te\ufeff')
})

test('documents do not depend on the pieces', () => {
  for (const format of ['text', 'lines', 'paragraphs'] as const) {
    for (const collapse of [false, true]) {
      fc.assert(
        fc.property(pieces, list => {
          assert.deepEqual(split(list, format, collapse), split([list.join('')], format, collapse))
        })
      )
    }
  }
})

test('documents are what the format says', () => {
  const s = ' one  two\nthree \n \n\nfour\n'
  assert.deepEqual(split([s], 'text'), [s])
  assert.deepEqual(split([s], 'lines'), ['one  two', 'three', 'four'])
  assert.deepEqual(split([s], 'paragraphs'), ['one  two\nthree', 'four'])
  assert.deepEqual(split([s], 'text', true), ['one two\nthree\n\nfour'])
  assert.deepEqual(split([s], 'paragraphs', true), ['one two\nthree', 'four'])
  for (const format of ['text', 'lines', 'paragraphs'] as const) assert.deepEqual(split([], format), [])
  assert.deepEqual(split([' \n '], 'lines'), [])
})

test('documents are the same when only whitespace tells them apart', () => {
  fc.assert(
    fc.property(pieces, list => {
      const key = new DocumentKey()
      for (const piece of list) key.push(piece)
      const words = list
        .join('')
        .split(/\p{White_Space}+/u)
        .filter(w => w !== '')
      const expected = words.length === 0 ? undefined : createHash('sha256').update(words.join(' ')).digest()
      assert.deepEqual(key.end(), expected)
      assert.equal(key.end(), undefined) // and the next document starts anew
    })
  )
})

test('a set of digests knows what it has seen', () => {
  const set = new DigestSet()
  const digest = (n: number): Buffer => createHash('sha256').update(String(n)).digest()
  for (let n = 0; n < 5000; n++) assert.ok(set.add(digest(n)))
  for (let n = 0; n < 5000; n++) assert.ok(!set.add(digest(n)))
  assert.equal(set.size, 5000)
  assert.ok(set.add(Buffer.alloc(32)))
  assert.ok(!set.add(Buffer.alloc(32)))
})

test(
  'the split by content follows the share, changes with the seed, and moves no document from validation when ' +
    'the share grows',
  () => {
    const keys = Array.from({ length: 4000 }, (_, n) => createHash('sha256').update(`k${n}`).digest())
    const chosen = (seed: number, share: number): number[] =>
      keys.flatMap((k, i) => (contentSide(k, seed, share) === 'validation' ? [i] : []))
    const tenth = chosen(0, 0.1)
    assert.ok(Math.abs(tenth.length - 400) < 80)
    const fifth = new Set(chosen(0, 0.2))
    assert.ok(tenth.every(i => fifth.has(i)))
    assert.notDeepEqual(chosen(1, 0.1), tenth)
    assert.equal(chosen(0, 0).length, 0)
  }
)

test("nanoGPT's Shakespeare split", () => {
  assert.equal(tailTrainCharacters(1_115_394, 0.1), 1_003_854)
})

test('characters are code points', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.nat(), (s, n) => {
      const points = [...s]
      assert.equal(countCharacters(s), points.length)
      const k = points.length === 0 ? 0 : n % points.length
      assert.equal(s.slice(0, characterIndex(s, k)), points.slice(0, k).join(''))
    })
  )
})

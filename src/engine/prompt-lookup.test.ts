import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MOST_DRAFT_TOKENS } from './drafts.ts'
import { PromptLookup } from './prompt-lookup.ts'

const draftOf = (ids: number[], count = 5): number[] => {
  const lookup = new PromptLookup(ids, 1 << 17)
  lookup.update()
  return lookup.draft(count)
}

/** Texts of few different tokens repeat themselves. */
const text = fc.integer({ min: 1, max: 4 }).chain(kinds => fc.array(fc.nat(kinds), { maxLength: 45 }))

/**
 * The same by looking at the whole text each time: a place that was right stays; else, from 8 tokens to 2, where as
 * many stood last.
 */
function obvious(ids: readonly number[], count: number): { length: number; draft: number[] } {
  let place = 0
  let length = 0
  const same = (a: number, b: number, n: number): boolean =>
    n <= a && Array.from({ length: n }, (_, i) => ids[a - 1 - i] === ids[b - 1 - i]).every(Boolean)
  for (let end = 1; end <= ids.length; end++) {
    const stays = length > 0 && ids[place] === ids[end - 1]
    place = stays ? place + 1 : 0
    length = stays ? length + 1 : 0
    for (const order of [8, 4, 3, 2]) {
      if (length >= order) continue
      for (let at = end - 1; at > 0 && length < order; at--) {
        if (!same(at, end, order)) continue
        place = at
        while (length < 16 && same(at, end, length + 1)) length++
      }
    }
    length = Math.min(length, 16)
  }
  const all = [...ids]
  if (length > 0) for (let i = 0; i < count; i++) all.push(all[place + i]!)
  return { length, draft: all.slice(ids.length) }
}

test('the draft is what followed the longest earlier match of the last tokens, and loops go on', () => {
  assert.deepEqual(draftOf([]), [])
  assert.deepEqual(draftOf([1, 2, 3, 4]), [])
  assert.deepEqual(draftOf([1, 2, 3, 4, 1, 2], 3), [3, 4, 1])
  assert.deepEqual(draftOf([1, 2, 3, 9, 2, 3, 8, 7, 1, 2, 3], 1), [9], 'three tokens come before two that stood later')
  assert.deepEqual(draftOf([2, 3, 9, 5, 2, 3, 8, 5, 2, 3], 1), [8], 'the last of equal ones')
  assert.deepEqual(draftOf([7, 7, 7], 4), [7, 7, 7, 7])
  assert.deepEqual(draftOf([4, 5, 6, 4, 5, 6, 4, 5], 7), [6, 4, 5, 6, 4, 5, 6])
})

test('drafts are those of the obvious search, token by token as well as at once', () => {
  fc.assert(
    fc.property(text, fc.integer({ min: 0, max: 9 }), (ids, count) => {
      const grown: number[] = []
      const lookup = new PromptLookup(grown, 1 << 17)
      for (const id of ids) {
        grown.push(id)
        lookup.update()
        lookup.update()
      }
      const want = obvious(ids, count)
      assert.deepEqual({ length: lookup.length, draft: lookup.draft(count) }, want)
      assert.deepEqual(draftOf(ids, count), want.draft)
    }),
    { numRuns: 400, seed: 5 }
  ) // another seed might find a text whose hashes fall together
})

test('in small tables, too, a draft follows what the last tokens followed', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30), { maxLength: 600 }), fc.integer({ min: 1, max: 9 }), (ids, count) => {
      const lookup = new PromptLookup(ids, 1)
      lookup.update()
      const { length } = lookup
      const draft = lookup.draft(count)
      if (length === 0) return assert.deepEqual(draft, [])
      assert.ok(length >= 2 && length <= 16 && draft.length === count)
      const all = [...ids, ...draft]
      const end = ids.length
      assert.ok(
        Array.from({ length: end - 1 }, (_, i) => i + 1).some(
          place =>
            place >= length &&
            all.slice(place - length, place).join() === ids.slice(end - length).join() &&
            all.slice(place, place + count).join() === draft.join()
        )
      )
    }),
    { numRuns: 300 }
  )
})

test('no draft pays before matches were right; then longer ones do, up to the limit, and failures end it', () => {
  const ids: number[] = []
  const lookup = new PromptLookup(ids, 10_000)
  const next = (id: number): number => {
    ids.push(id)
    lookup.update()
    return lookup.draftLength(MOST_DRAFT_TOKENS, 1 / 3)
  }
  const counts = Array.from({ length: 60 }, (_, i) => next(i % 5))
  assert.ok(counts.findIndex(n => n > 0) > 5 && counts.some(n => n > 0 && n < MOST_DRAFT_TOKENS), counts.join())
  assert.equal(counts.at(-1), MOST_DRAFT_TOKENS)
  assert.deepEqual(
    [0, 1, 2, 6].map(room => lookup.draftLength(room, 1 / 3)),
    [0, 1, 2, 6],
    'no more than the limit'
  )
  // two tokens that stood before, and then another one each time
  const vain = Array.from({ length: 400 }, (_, i) => next([1000, 1001, 2000 + i][i % 3]!))
  assert.deepEqual(new Set(vain.slice(10)), new Set([0]))
})

test('a long text is taken in pieces, be it of one token, of one pair, or of many', () => {
  for (const id of [() => 1, (i: number) => i & 1, (i: number) => i, (i: number) => (i * i) % 65_521]) {
    const ids = Array.from({ length: 150_000 }, (_, i) => id(i))
    const lookup = new PromptLookup(ids, ids.length)
    let pieces = 1
    while (!lookup.update()) pieces++
    assert.equal(pieces, Math.ceil(ids.length / 8192))
    assert.ok(lookup.length <= 16 && lookup.draft(MOST_DRAFT_TOKENS).length <= MOST_DRAFT_TOKENS)
  }
})

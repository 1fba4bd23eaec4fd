import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StopFilter } from './stop-filter.ts'

function run(pieces: readonly string[], stops: readonly string[]): { given: string[]; text: string; stopped: boolean } {
  const filter = new StopFilter(stops)
  const given = pieces.map(piece => filter.push(piece))
  if (!filter.stopped) given.push(filter.end())
  return { given, text: given.join(''), stopped: filter.stopped }
}

/** The text before the stop string that ends first; of those that end together, the longest. */
function expected(text: string, stops: readonly string[]): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const starts = stops.filter(s => text.slice(0, end).endsWith(s)).map(s => end - s.length)
    if (starts.length > 0) return { text: text.slice(0, Math.min(...starts)), stopped: true }
  }
  return { text, stopped: false }
}

test('a stop string is found over every way to cut the text, and no part of it is given out', () => {
  const text = 'to be\nor not END of it'
  for (const stops of [['END'], ['\nor', 'END'], ['be\nor not', 'e\no'], ['it'], ['nothing']]) {
    for (let cuts = 0; cuts < 1 << 10; cuts++) {
      const pieces: string[] = ['']
      // Each bit cuts at two places.
      for (const [i, c] of [...text].entries()) {
        if ((cuts >> (i % 10)) & 1) pieces.push('')
        pieces[pieces.length - 1] += c
      }
      const { text: given, stopped } = run(pieces, stops)
      assert.deepEqual({ text: given, stopped }, expected(text, stops))
    }
  }
})

test('for any text, stop strings and cuts the outcome is that of the whole text', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '👍'), maxLength: 12 })
  fc.assert(
    fc.property(
      fc.array(letters),
      fc.array(
        letters.filter(s => s.length > 0),
        { minLength: 1, maxLength: 4 }
      ),
      (pieces, stops) => {
        const { text, stopped } = run(pieces, stops)
        assert.deepEqual({ text, stopped }, expected(pieces.join(''), stops))
      }
    ),
    { numRuns: 3000 }
  )
})

test('text that cannot begin a stop string is given out at once', () => {
  assert.deepEqual(run(['hello ', 'wor', 'ld E', 'NX'], ['END']).given, ['hello ', 'wor', 'ld ', 'ENX', ''])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { finish, inPieces, inTurns } from './steps.ts'
import type { Steps } from './steps.ts'

/** Work of `count` steps that each take longer than a slice, noted by name. */
function* slow(name: string, count: number, noted: string[]): Steps<string> {
  for (let i = 0; i < count; i++) {
    const until = performance.now() + 3
    while (performance.now() < until);
    noted.push(name)
    yield
  }
  return name
}

test(
  'short works take turns, long ones are done one after the other, and the event loop goes round between any ' +
    'two slices',
  async () => {
    const noted: string[] = []
    const all = ['s', 't'].map(name => inTurns(slow(name, 4, noted), { size: 5000 }))
    all.push(...['L', 'M'].map(name => inTurns(slow(name, 3, noted), { size: 1 << 17 })))
    assert.deepEqual(noted, [])
    let turns = 0
    let ended = false
    const counting = (async () => {
      for (; !ended; turns++) await setImmediate()
    })()
    assert.deepEqual(await Promise.all(all), ['s', 't', 'L', 'M'])
    ended = true
    await counting
    assert.ok(turns >= 13, `${turns} turns`)
    const of = (...names: string[]): string => noted.filter(n => names.includes(n)).join('')
    assert.equal(of('L', 'M'), 'LLLMMM')
    assert.equal(of('s', 't'), 'stststst')
    assert.match(noted.join(''), /^stLst/, 'what is long does not wait for what is short to end, nor the reverse')
  }
)

test('what is small is done at once', async () => {
  const noted: number[] = []
  const all = [1, 2, 3].map(i =>
    inTurns(
      (function* (): Steps<void> {
        yield
        noted.push(i)
      })()
    )
  )
  assert.deepEqual(noted, [1, 2, 3])
  await Promise.all(all)
})

test('work stops before its next step on abort, and with its error on a throw; other work goes on', async () => {
  const noted: string[] = []
  const abort = new AbortController()
  const cancelled = inTurns(slow('c', 1000, noted), { signal: abort.signal })
  const other = inTurns(slow('o', 3, noted))
  const failing = assert.rejects(
    inTurns(
      (function* (): Steps<void> {
        yield
        throw new Error('no')
      })()
    ),
    /no/
  )
  abort.abort()
  assert.equal(await cancelled, undefined)
  await failing
  assert.equal(await other, 'o')
  assert.equal(await inTurns(slow('x', 1, noted), { signal: AbortSignal.abort() }), undefined)
  assert.ok(!noted.includes('x'))
})

test('a text is changed piece by piece, never cut inside a character', () => {
  const text = `a${'\u{1f600}'.repeat(20_000)}`
  const pieces: string[] = []
  assert.equal(
    finish(
      inPieces(text, piece => {
        pieces.push(piece)
        return piece.toUpperCase()
      })
    ),
    text.toUpperCase()
  )
  assert.ok(pieces.length > 1 && pieces.every(p => p.isWellFormed() && p.length <= 1 << 14))
})

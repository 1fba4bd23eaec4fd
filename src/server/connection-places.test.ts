import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { addressGroups } from './address-group.ts'
import { ConnectionPlaces } from './connection-places.ts'
import type { Place } from './connection-places.ts'

interface Held {
  readonly name: string
  readonly place: Place
}

/** Places with a clock of their own, and the names of the connections that are open. */
function places(connections: number, perAddress = connections) {
  let now = 0
  const all = new ConnectionPlaces({ connections, perAddress }, () => now)
  const open = new Set<string>()
  let made = 0
  const pass = (ms: number): void => {
    now += ms
    all.settle()
  }
  const enterNew = (address: string, name = `c${++made}`): Held | undefined => {
    const place = all.enter(addressGroups(address), () => void open.delete(name))
    if (place !== undefined) open.add(name)
    return place === undefined ? undefined : { name, place }
  }
  return {
    all,
    open,
    pass,
    enterNew,
    /** Enters, and is no longer new; undefined where it is ended for that. */
    enter: (address: string, name?: string): Held | undefined => {
      const held = enterNew(address, name)
      pass(100)
      return held !== undefined && open.has(held.name) ? held : undefined
    },
    /** One request and its answer. */
    ask: ({ place }: Held, valid: boolean): void => {
      all.began(place)
      if (valid) all.proved(place)
      all.worked(place)
      all.answered(place)
    }
  }
}

test('strangers get at most three quarters of the places; the oldest makes room for the newest', () => {
  const p = places(8)
  for (let i = 1; i <= 6; i++) p.enter(`192.0.${i}.1`, `s${i}`)
  assert.equal(p.open.size, 6)
  p.enter('192.0.7.1', 's7')
  p.enter('192.0.8.1', 's8')
  assert.deepEqual([...p.open], ['s3', 's4', 's5', 's6', 's7', 's8'])
  assert.equal(p.all.ended, 2)
})

test('connections that proved a key keep a quarter of the places against any number of strangers', () => {
  const p = places(8)
  const kept = [p.enter('203.0.113.1', 'k1')!, p.enter('203.0.114.1', 'k2')!]
  for (const k of kept) p.ask(k, true)
  for (let i = 0; i < 1000; i++) {
    p.pass(10)
    p.enter(`198.${i >> 8}.${i & 255}.1`)
  }
  assert.ok(p.open.has('k1') && p.open.has('k2'))
  assert.deepEqual([p.all.open, p.all.proven], [8, 2])
})

test('a crowd of idle proven connections makes room for a new client, the least recently used first', () => {
  const p = places(4)
  const held = ['a', 'b', 'c', 'd'].map((name, i) => p.enter(`192.0.${i}.1`, name)!)
  for (const h of held) p.ask(h, true)
  assert.deepEqual(
    [...p.open],
    ['b', 'c', 'd'],
    'the fourth stranger took the place of the first, which had proved nothing yet'
  )
  p.ask(p.enter('192.0.9.1', 'e')!, true)
  p.ask(held[1]!, true)
  assert.ok(p.enter('192.0.10.1', 'f') !== undefined)
  assert.ok(p.open.has('b') && !p.open.has('c'))
})

test(
  'an answer to a proven key, and the first answer of a new connection, are never cut off: then the newest is ' +
    'refused',
  () => {
    const p = places(4)
    const [one, two, three] = [p.enter('192.0.1.1')!, p.enter('192.0.2.1')!, p.enter('192.0.3.1')!]
    for (const { place } of [one, two, three]) p.all.began(place)
    assert.equal(p.enter('192.0.4.1'), undefined)
    const late = p.enterNew('192.0.6.1')!
    p.all.began(late.place)
    p.pass(100)
    assert.ok(!p.open.has(late.name), 'being answered does not help the newest where the others are, too')
    assert.deepEqual([p.all.refused, p.all.ended], [1, 1])
    p.all.proved(one.place)
    assert.ok(p.enter('192.0.5.1') !== undefined, 'proven, it is one stranger fewer')
    assert.ok(p.open.has(one.name))
  }
)

test('a stranger who always has another request waiting is protected for the first alone', () => {
  const p = places(4)
  const greedy = [1, 2, 3].map(i => p.enter(`192.0.${i}.1`)!)
  for (const { place } of greedy) {
    p.all.began(place)
    p.all.began(place)
    p.all.worked(place) // its client takes nothing of the answer
  }
  assert.ok(p.enter('192.0.4.1') !== undefined)
  assert.ok(!p.open.has(greedy[0]!.name))
})

test('each group of addresses has its own places, and makes room among its own', () => {
  const p = places(1000, 4)
  const other = p.enter('198.51.100.1', 'other')
  assert.ok(other !== undefined)
  for (let i = 0; i < 500; i++) p.enter(`127.0.${i >> 8}.${i & 255}`)
  assert.equal(p.open.size, 4, 'all of loopback has three places without a key')
  for (let i = 0; i < 1024; i++) p.enter(`2001:db8:1:${i.toString(16)}::1`)
  assert.equal(p.open.size, 4 + 12, 'a /48 has those of four addresses')
  for (let i = 0; i < 256; i++) p.enter(`203.0.113.${i}`)
  assert.equal(p.open.size, 4 + 12 + 24, 'a /24 has those of eight')
  assert.ok(p.open.has('other'))
})

test('a connection that proves no key ends after a hundred requests or a minute, one that does goes on', () => {
  const p = places(8)
  const [stranger, old, known] = [p.enter('192.0.1.1')!, p.enter('192.0.2.1')!, p.enter('192.0.3.1')!]
  const last = (h: Held, valid = false): boolean => {
    const is = p.all.began(h.place)
    if (valid) p.all.proved(h.place)
    p.all.worked(h.place)
    p.all.answered(h.place)
    return is
  }
  assert.deepEqual(Array.from({ length: 100 }, () => last(stranger)).indexOf(true), 99)
  assert.ok(!last(old) && !last(known, true))
  p.pass(60_000)
  assert.ok(last(old))
  assert.ok(!Array.from({ length: 200 }, () => last(known, true)).includes(true))
})

test('a new connection has a moment for its first request, however many come after it', () => {
  const p = places(64, 8)
  const known = p.enterNew('127.0.0.1')!
  for (let i = 0; i < 31; i++) p.enterNew('127.0.0.2')
  assert.ok(p.open.has(known.name))
  p.ask(known, true)
  for (let i = 0; i < 5000; i++) {
    p.enterNew('127.0.0.3')
    if (i % 10 === 0) p.pass(1)
  }
  assert.ok(p.open.has(known.name))
  p.pass(100)
  assert.equal(p.open.size, 7, 'six strangers of this address, and the one with a key')
})

test('new connections are limited, too: the oldest of them is no longer new', () => {
  const p = places(1000, 1000)
  for (let i = 0; i < 3000; i++) p.enterNew(`192.${i >> 8}.${i & 255}.1`)
  assert.equal(p.open.size, 750 + 512)
  const q = places(4, 2)
  const asking = Array.from({ length: 30 }, (_, i) => q.enterNew(`192.0.${i}.1`)).filter(h => h !== undefined)
  for (const { place } of asking) q.all.began(place)
  for (let i = 0; i < 30; i++) q.enterNew(`192.1.${i}.1`)
  assert.ok(q.open.size <= 4 + 16, String(q.open.size))
})

test(
  'whatever comes in whatever order: no limit is passed, nothing is counted that is gone, and a newcomer is ' +
    'refused only by what is in use',
  () => {
    const address = fc.oneof(
      fc.nat(7).map(n => `127.0.0.${n + 1}`),
      fc.nat(40).map(n => `192.0.2.${n}`),
      fc.nat(40).map(n => `2001:db8:1:${n.toString(16)}::1`)
    )
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('enter' as const), address }) },
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constantFrom('began', 'worked', 'answered', 'proved', 'leave'),
          which: fc.nat(30)
        })
      },
      fc.record({ do: fc.constant('pass' as const), ms: fc.nat(200) })
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 6 }),
        fc.array(step, { maxLength: 200 }),
        (most, each, steps) => {
          const p = places(most, each)
          const held: (Held & { address: string; began: number; worked: number })[] = []
          for (const s of steps) {
            if ('ms' in s) p.pass(s.ms)
            else if ('address' in s) {
              const entered = p.enterNew(s.address)
              if (entered !== undefined) held.push({ ...entered, address: s.address, began: 0, worked: 0 })
            } else if (held.length > 0) {
              const h = held[s.which % held.length]!
              if (s.do === 'began') {
                p.all.began(h.place)
                h.began++
                h.worked++
              } else if (s.do === 'worked' && h.worked > 0) {
                p.all.worked(h.place)
                h.worked--
              } else if (s.do === 'answered' && h.began > h.worked) {
                p.all.answered(h.place)
                h.began--
              } else if (s.do === 'proved') p.all.proved(h.place)
              else if (s.do === 'leave') {
                p.all.leave(h.place)
                p.open.delete(h.name)
              }
            }
            const open = held.filter(h => p.open.has(h.name))
            assert.equal(p.all.open, open.length)
            assert.ok(open.length <= 5 * most)
            const settled = open.filter(h => !h.place.isNew)
            assert.ok(settled.filter(h => !h.place.proven).length <= most - Math.floor(most / 4))
            const names = new Set(open.flatMap(h => addressGroups(h.address).map(g => g.name)))
            assert.equal(p.all.groups, names.size)
            for (const name of names) {
              const inIt = open.filter(h => addressGroups(h.address).some(g => g.name === name))
              const limit = each * addressGroups(inIt[0]!.address).find(g => g.name === name)!.factor
              assert.ok(inIt.length <= 5 * limit, name)
              assert.ok(
                inIt.filter(h => !h.place.isNew && !h.place.proven).length <= limit - Math.floor(limit / 4),
                name
              )
            }
          }
        }
      ),
      { numRuns: 200 }
    )
  }
)

test('a proven connection whose body takes long makes room, and proven ones alone never fill all places', () => {
  const p = places(8)
  const send = (i: number): Held => {
    const held = p.enterNew(`192.0.${i}.1`)!
    p.all.began(held.place)
    p.all.reads(held.place, true)
    p.all.proved(held.place)
    return held
  }
  const slow = Array.from({ length: 40 }, (_, i) => send(i))
  assert.equal(p.open.size, 10, 'the limit and a quarter')
  p.pass(1001)
  assert.ok(p.enter('198.51.100.1') !== undefined, 'a newcomer has a place')
  assert.ok(!p.open.has(slow[0]!.name))
  // An answer under way stays, however long it takes.
  const answered = p.enter('198.51.100.2')!
  p.all.began(answered.place)
  p.all.proved(answered.place)
  p.pass(5000)
  for (let i = 0; i < 40; i++) send(100 + i)
  assert.ok(p.open.has(answered.name))
})

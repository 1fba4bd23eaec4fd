import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NewAuditEntry } from '../audit/entry.ts'
import { Refusals } from './refusals.ts'

const silent = { info: () => undefined }
type Summary = Extract<NewAuditEntry, { type: 'auth.summary' }>

/** Refusals that tell their summaries to a list. */
function counted(perSource: number, all: number): { refusals: Refusals; told: Summary[] } {
  const told: Summary[] = []
  return {
    told,
    refusals: new Refusals({ perSource, all }, entry => Promise.resolve(told.push(entry as Summary)), silent)
  }
}

test('beyond its share a source is counted, and the count is told once', async () => {
  const { refusals, told } = counted(2, 100)
  assert.deepEqual(
    [1, 2, 3, 4].map(() => refusals.ofStranger('192.0.2.1')),
    [true, true, false, false]
  )
  assert.equal(refusals.ofStranger('192.0.2.2'), true)
  await refusals.close()
  await refusals.summarize(Infinity)
  assert.deepEqual(told, [{ type: 'auth.summary', remote: '192.0.2.1', refused: 2, seconds: 1 }])
})

test('keys have a share of their own, which strangers cannot take', async () => {
  const { refusals, told } = counted(2, 3)
  for (let i = 0; i < 50; i++) refusals.ofStranger(`192.0.${i}.1`)
  assert.deepEqual(
    [1, 2, 3].map(() => refusals.ofKey('key_0123456789ab')),
    [true, true, false]
  )
  await refusals.close()
  assert.deepEqual(
    told.find(e => e.remote.startsWith('key_')),
    { type: 'auth.summary', remote: 'key_0123456789ab', refused: 1, seconds: 1 }
  )
})

test('counts that cannot be told, for the log cannot be written, end nothing and are told later', async () => {
  const told: NewAuditEntry[] = []
  let broken = true
  const append = (entry: NewAuditEntry): Promise<unknown> =>
    broken ? Promise.reject(new Error('no space')) : Promise.resolve(told.push(entry))
  const refusals = new Refusals({ perSource: 1, all: 100 }, append, silent)
  for (let i = 0; i < 5; i++) refusals.ofStranger('192.0.2.1')
  await refusals.summarize(Infinity)
  refusals.ofStranger('192.0.2.1')
  broken = false
  await refusals.close()
  assert.deepEqual(
    told.map(e => e.type === 'auth.summary' && e.refused),
    [5]
  )
})

test(
  'all strangers together have a share; what is beyond it is told by the largest sources, then by block, and ' +
    'nothing is lost',
  async () => {
    const { refusals, told } = counted(30, 600)
    let own = 0
    const refuse = (remote: string, times = 1): void => {
      for (let i = 0; i < times; i++) own += Number(refusals.ofStranger(remote, 1))
    }
    refuse('203.0.113.7', 1000)
    for (let i = 0; i < 50_000; i++) refuse(`2001:db8:${(i >> 12).toString(16)}:${(i & 0xfff).toString(16)}::1`)
    for (let i = 0; i < 50_000; i++) refuse(`198.${(i >> 8) & 1}.${i & 255}.${i >> 9}`)
    assert.equal(own, 600)
    assert.ok(refusals.sources <= 20_001)
    await refusals.close()
    assert.ok(told.length <= 101, `${told.length} summaries`)
    assert.equal(
      told.reduce((n, e) => n + e.refused, own),
      101_000
    )
    assert.equal(told.find(e => e.remote === '203.0.113.7')?.refused, 970)
    assert.ok(
      told.some(e => e.remote === '2001:db8::/32') && told.some(e => e.remote === '198.0.0.0/16'),
      told.map(e => e.remote).join()
    )
  }
)

test('whatever comes from wherever: entries and summaries together are all of it', async () => {
  const remote = fc.oneof(
    fc.nat(5).map(n => `192.0.2.${n}`),
    fc.ipV4(),
    fc.ipV6(),
    fc.constant('unix')
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(remote),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 20 }),
      async (all, each, most) => {
        const { refusals, told } = counted(each, most)
        const own = all.filter(one => refusals.ofStranger(one, 1)).length
        await refusals.close()
        assert.ok(own <= most)
        assert.equal(
          told.reduce((n, e) => n + e.refused, own),
          all.length
        )
      }
    )
  )
})

test('lines of the log have a share of a minute, and the rest are told in one', async () => {
  const lines: object[] = []
  const refusals = new Refusals({ perSource: 1, all: 3 }, () => Promise.resolve(), {
    info: (fields: object) => void lines.push(fields)
  } as never)
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => refusals.line(false, 1)),
    [true, true, true, false, false]
  )
  assert.equal(refusals.line(true, 1), false)
  assert.equal(refusals.line(false, 60_001), true)
  await refusals.close()
  assert.deepEqual(lines, [{ refused: 3 }])
})

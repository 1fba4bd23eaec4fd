import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { PageCache } from './page-cache.ts'
import type { SequencePages } from './page-cache.ts'

const tokens = (n: number, from = 0): number[] => Array.from({ length: n }, (_, i) => from + i)

/** A sequence that runs its prompt and ends. */
function runOnce(cache: PageCache, prompt: readonly number[], tenant?: string): SequencePages {
  const s = cache.open(prompt, prompt.length, tenant)!
  s.grow(prompt.length)
  s.keep(prompt, prompt.length)
  s.close()
  return s
}

test(
  'a tenant finds the full pages of its own earlier prompts, never those of another, and without a tenant ' +
    'nothing is kept',
  () => {
    const cache = new PageCache(40)
    const prompt = tokens(50)
    const { list } = runOnce(cache, prompt, 'a')
    assert.deepEqual(cache.load, { held: 0, promised: 0, kept: 3 })
    for (const tenant of ['b', '', undefined]) assert.equal(cache.open(prompt, 50, tenant)!.reused, 0, tenant)
    const again = cache.open([...tokens(40), 7, 7, 7, 7, 7, 7, 7, 7, 7], 60, 'a')!
    assert.equal(again.reused, 32)
    assert.deepEqual(again.list, list.slice(0, 2))
    // The last token of a prompt is run in any case.
    assert.equal(cache.open(tokens(48), 48, 'a')!.reused, 32)
    assert.equal(cache.open(tokens(49), 49, 'a')!.reused, 48)
    runOnce(cache, tokens(50, 100))
    assert.equal(cache.open(tokens(50, 100), 50, 'a')!.reused, 0)
  }
)

test('an admitted sequence gets its reserved pages; others wait; an end frees all pages', () => {
  const cache = new PageCache(10)
  const a = cache.open(tokens(5), 100)!
  assert.deepEqual(cache.load, { held: 0, promised: 7, kept: 0 })
  assert.equal(cache.open(tokens(5), 49), undefined)
  const b = cache.open(tokens(5), 48)!
  b.grow(48)
  a.grow(17)
  assert.deepEqual(cache.load, { held: 5, promised: 5, kept: 0 })
  assert.throws(() => b.grow(49), /promised/)
  b.close()
  b.close()
  assert.ok(cache.open(tokens(5), 48))
  assert.throws(() => cache.open(tokens(5), 161), /fits the cache/)
})

test('two that compute the same at the same time keep one page of it, and the pages longest unused go first', () => {
  const cache = new PageCache(6)
  const prompt = tokens(33)
  const [a, b] = [cache.open(prompt, 33, 't')!, cache.open(prompt, 33, 't')!]
  for (const s of [a, b]) {
    s.grow(33)
    s.keep(prompt, 33)
  }
  assert.deepEqual(b.list.slice(0, 2), a.list.slice(0, 2))
  assert.deepEqual(cache.load, { held: 4, promised: 0, kept: 0 })
  a.close()
  b.close()
  assert.deepEqual(cache.load, { held: 0, promised: 0, kept: 2 })
  runOnce(cache, tokens(17, 50), 't')
  runOnce(cache, prompt, 't')
  // Four pages are wanted, three are free: the page of the other prompt goes, since this one was used later.
  const wide = cache.open(tokens(3, 900), 64)!
  wide.grow(64)
  wide.close()
  assert.equal(cache.open(prompt, 33, 't')!.reused, 32)
  assert.equal(cache.open(tokens(17, 50), 17, 't')!.reused, 0)
})

test('a tenant that fills the cache pushes out its own pages, not those of others', () => {
  const cache = new PageCache(12)
  const quiet = tokens(40, 500)
  runOnce(cache, quiet, 'quiet')
  for (let i = 0; i < 50; i++) runOnce(cache, tokens(60, 1000 + 100 * i), 'loud')
  assert.equal(cache.open(quiet, 40, 'quiet')!.reused, 32)
})

test(
  'whatever comes and goes: no page has two owners, shared ones hold the same tokens of one tenant, and every ' +
    'promise is kept',
  () => {
    const step = fc.record({
      kind: fc.constantFrom('open', 'open', 'grow', 'grow', 'close'),
      who: fc.nat(20),
      tenant: fc.constantFrom('a', 'b', undefined),
      base: fc.nat(2),
      same: fc.nat(70),
      length: fc.integer({ min: 1, max: 90 }),
      more: fc.nat(40)
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 9, max: 24 }), (steps, pages) => {
        const cache = new PageCache(pages)
        const open: { s: SequencePages; ids: number[]; run: number; tenant: string | undefined }[] = []
        /** What the model would have written: tenant and tokens up to the end of the page. */
        const content = new Map<number, string>()
        for (const [n, { kind, who, tenant, base, same, length, more }] of steps.entries()) {
          if (kind === 'open') {
            const ids = Array.from({ length: length + more }, (_, i) => (i < same ? base : 1000 + n))
            const s = cache.open(ids.slice(0, length), length + more, tenant)
            if (s === undefined) continue
            for (const [i, page] of s.list.entries())
              assert.equal(content.get(page), `${tenant} ${ids.slice(0, 16 * i + 16).join()}`)
            open.push({ s, ids, run: s.reused, tenant })
          } else if (open.length > 0) {
            const at = who % open.length
            const o = open[at]!
            if (kind === 'close') open.splice(at, 1)[0]!.s.close()
            else {
              const to = Math.min(o.ids.length, o.run + 1 + more)
              o.s.grow(to)
              for (let i = o.run >> 4; i < Math.ceil(to / 16); i++)
                content.set(o.s.list[i]!, `${o.tenant} ${o.ids.slice(0, Math.min(16 * i + 16, to)).join()}`)
              o.run = to
              o.s.keep(o.ids, to)
            }
          }
          const owners = new Map<number, string>()
          for (const { s, ids, run, tenant: t } of open) {
            for (const [i, page] of s.list.entries()) {
              const text = `${t} ${ids.slice(0, Math.min(16 * i + 16, run)).join()}`
              assert.equal(content.get(page), text)
              assert.ok(
                owners.get(page) === undefined || (t !== undefined && owners.get(page) === text && 16 * i + 16 <= run),
                'two owners'
              )
              owners.set(page, text)
            }
          }
          assert.equal(cache.load.held, owners.size)
          assert.ok(cache.load.held + cache.load.promised <= pages)
        }
        for (const { s, ids } of open) s.grow(ids.length)
        for (const { s } of open) s.close()
        assert.deepEqual({ ...cache.load, kept: 0 }, { held: 0, promised: 0, kept: 0 })
      }),
      { numRuns: 300 }
    )
  }
)

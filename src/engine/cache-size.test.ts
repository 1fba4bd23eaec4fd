import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseModelConfig } from '../model/config.ts'
import { cacheSize, defaultContext } from './cache-size.ts'

const GIB = 2 ** 30
const large = parseModelConfig({ kind: 'bitnet', layers: 30, hidden: 2560, heads: 20, kvHeads: 5, ffn: 6912, context: 4096, vocab: 128256 })
const small = parseModelConfig({ kind: 'gpt', layers: 2, hidden: 32, heads: 2, context: 40, vocab: 261 })

test('the cache takes a quarter of what the weights leave free, at least one sequence, at most what the slots can use', () => {
  const pageBytes = 8 * 30 * 5 * 128 * 16
  assert.deepEqual(cacheSize(large, GIB, { memoryBytes: 17 * GIB }), { context: 4096, slots: 64, pages: Math.floor((4 * GIB) / pageBytes) })
  assert.equal(cacheSize(large, GIB, { memoryBytes: GIB / 2 }).pages, 256)
  assert.deepEqual(cacheSize(small, 1000, { memoryBytes: GIB, slots: 3 }), { context: 40, slots: 3, pages: 9 })
  assert.equal(cacheSize(large, GIB, { memoryBytes: 17 * GIB, slots: 1, context: 100 }).pages, 7)
})

test('a size that was asked for holds; the context gives way to it unless it was asked for, too', () => {
  const pageBytes = 8 * 30 * 5 * 128 * 16
  assert.deepEqual(cacheSize(large, GIB, { cacheBytes: 10 * pageBytes + 5 }), { context: 160, slots: 64, pages: 10 })
  assert.equal(cacheSize(large, GIB, { cacheBytes: 300 * pageBytes }).pages, 300)
  assert.equal(cacheSize(large, GIB, { cacheBytes: 2 ** 50 }).pages, 64 * 256)
  assert.throws(() => cacheSize(large, GIB, { cacheBytes: 10 * pageBytes, context: 161 }), { code: 'VERIT_REQUEST' })
  assert.throws(() => cacheSize(large, GIB, { cacheBytes: pageBytes - 1 }), { code: 'VERIT_REQUEST' })
})

test('the default context is the model\'s where a sequence stays within 2 GiB', () => {
  assert.equal(defaultContext(large), 4096)
  assert.equal(defaultContext({ ...large, context: 1 << 20 }), Math.floor(2 ** 31 / (8 * 30 * 5 * 128)))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseModelConfig } from '../model/config.ts'
import { cacheSize, cacheTypeOf, defaultContext, positionBytes } from './cache-size.ts'

const GIB = 2 ** 30
const large = parseModelConfig({
  kind: 'bitnet',
  layers: 30,
  hidden: 2560,
  heads: 20,
  kvHeads: 5,
  ffn: 6912,
  context: 4096,
  vocab: 128256
})
const small = parseModelConfig({ kind: 'gpt', layers: 2, hidden: 32, heads: 2, context: 40, vocab: 261 })

test('the cache takes a quarter of free memory, at least one sequence, at most the need of all slots', () => {
  const pageBytes = 8 * 30 * 5 * 128 * 16
  assert.deepEqual(cacheSize(large, GIB, { memoryBytes: 17 * GIB }), {
    cacheType: 'f32',
    context: 4096,
    slots: 64,
    pages: Math.floor((4 * GIB) / pageBytes)
  })
  assert.equal(cacheSize(large, GIB, { memoryBytes: GIB / 2 }).pages, 256)
  assert.deepEqual(cacheSize(small, 1000, { memoryBytes: GIB, slots: 3 }), {
    cacheType: 'f32',
    context: 40,
    slots: 3,
    pages: 9
  })
  assert.equal(cacheSize(large, GIB, { memoryBytes: 17 * GIB, slots: 1, context: 100 }).pages, 7)
})

test('a size that was asked for holds; the context gives way to it unless it was asked for, too', () => {
  const pageBytes = 8 * 30 * 5 * 128 * 16
  assert.deepEqual(cacheSize(large, GIB, { cacheBytes: 10 * pageBytes + 5 }), {
    cacheType: 'f32',
    context: 160,
    slots: 64,
    pages: 10
  })
  assert.equal(cacheSize(large, GIB, { cacheBytes: 300 * pageBytes }).pages, 300)
  assert.equal(cacheSize(large, GIB, { cacheBytes: 2 ** 50 }).pages, 64 * 256)
  assert.throws(() => cacheSize(large, GIB, { cacheBytes: 10 * pageBytes, context: 161 }), { code: 'VERIT_REQUEST' })
  assert.throws(() => cacheSize(large, GIB, { cacheBytes: pageBytes - 1 }), { code: 'VERIT_REQUEST' })
})

test("the default context is the model's where a sequence stays within 2 GiB", () => {
  assert.equal(defaultContext(large, 'f32'), 4096)
  assert.equal(defaultContext({ ...large, context: 1 << 20 }, 'f32'), Math.floor(2 ** 31 / (8 * 30 * 5 * 128)))
  assert.equal(defaultContext({ ...large, context: 1 << 20 }, 'f16'), Math.floor(2 ** 31 / (4 * 30 * 5 * 128)))
})

const decoder = { layers: 2, hidden: 32, heads: 4, kvHeads: 2, ffn: 64, context: 64, vocab: 99, eps: 1e-5 }

test('models that Verit trains have an f32 cache and all others f16, unless the option says otherwise', () => {
  const llama = parseModelConfig({ kind: 'llama', ...decoder })
  assert.deepEqual(
    [small, large, llama].map(config => cacheTypeOf(config)),
    ['f32', 'f32', 'f16']
  )
  assert.deepEqual(
    [small, large, llama].map(config => cacheTypeOf(config, 'auto')),
    ['f32', 'f32', 'f16']
  )
  assert.deepEqual([cacheTypeOf(large, 'f16'), cacheTypeOf(llama, 'f32')], ['f16', 'f32'])
  assert.deepEqual([positionBytes(llama, 'f16'), positionBytes(llama, 'f32')], [2 * 2 * 16 * 2, 2 * 2 * 16 * 4])
  const pages = (cacheType: 'auto' | 'f16'): number => cacheSize(large, 0, { cacheBytes: 2 ** 30, cacheType }).pages
  assert.equal(pages('f16'), Math.floor(2 ** 30 / (4 * 30 * 5 * 128 * 16)))
  assert.equal(pages('auto'), Math.floor(2 ** 30 / (8 * 30 * 5 * 128 * 16)))
})

test('the columns of short convolutions are f32 in a cache of any type', () => {
  const lfm2 = parseModelConfig({ kind: 'lfm2', ...decoder, convWidth: 3, attentionLayers: [1] })
  assert.deepEqual([positionBytes(lfm2, 'f16'), positionBytes(lfm2, 'f32')], [4 * 32 + 2 * 2 * 16, 4 * 32 + 2 * 4 * 16])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { encodeSlice } from './encode-job.ts'
import { EncodePool } from './encode-pool.ts'

const slice = (seed: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: 4096 }, (_, i) => Math.sin(seed * 4096 + i * i))

test('slices have the same bytes and errors from threads as from none, whatever their order', async () => {
  await using threads = new EncodePool(3, Infinity)
  assert.ok(threads.depth > 1)
  const jobs = Array.from({ length: 12 }, (_, i) => threads.encode({ type: 'Q4_K', values: slice(i) }, 'w'))
  const results = await Promise.all(jobs)
  for (const [i, result] of results.entries()) assert.deepEqual(result, encodeSlice({ type: 'Q4_K', values: slice(i) }))
})

test('a value that does not fit is refused by the name of the tensor, and the others go on', async () => {
  await using threads = new EncodePool(2, Infinity)
  const bad = slice(0)
  bad[70] = NaN
  const good = threads.encode({ type: 'Q8_0', values: slice(1) }, 'good')
  await assert.rejects(
    threads.encode({ type: 'Q8_0', values: bad }, 'bad'),
    e => VeritError.is(e, 'VERIT_TENSOR') && e.fields.tensor === 'bad' && /weight 70 is NaN/.test(e.fields.problem)
  )
  assert.deepEqual(await good, encodeSlice({ type: 'Q8_0', values: slice(1) }))
})

test('for few weights no thread is started', async () => {
  await using none = new EncodePool(2, 4096)
  assert.equal(none.depth, 1)
  assert.deepEqual(
    await none.encode({ type: 'Q6_K', values: slice(2) }, 'w'),
    encodeSlice({ type: 'Q6_K', values: slice(2) })
  )
})

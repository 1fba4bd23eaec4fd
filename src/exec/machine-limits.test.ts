import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openExecutor } from './index.ts'
import { referenceExecutor } from './reference.ts'
import { MachineLimits } from './machine-limits.ts'

test('the limits of a machine are numbers above zero, on every executor', async () => {
  for (const executor of [openExecutor({ threads: 2 }), referenceExecutor()]) {
    using limits = new MachineLimits(executor, 50, 4 << 20)
    assert.equal(limits.readBytes, 4 << 20)
    for (const rate of [
      await limits.readRate(),
      await limits.dotRate(),
      await limits.dotRate(),
      1e6 * (await limits.emptyRate())
    ])
      assert.ok(rate > 1e6 && Number.isFinite(rate), `${executor.name}: ${rate}`)
  }
})

test('what is read to measure memory lies in the pages that weights have', () => {
  const executor = openExecutor({ threads: 1 })
  const sparse: (boolean | undefined)[] = []
  using limits = new MachineLimits(
    {
      ...executor,
      allocate: (bytes, parts) => {
        if (bytes >= 4 << 20) sparse.push(parts)
        return executor.allocate(bytes, parts)
      }
    },
    1,
    4 << 20
  )
  assert.ok(limits.readBytes >= 4 << 20 && sparse.length > 0 && !sparse.includes(true))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { referenceExecutor } from '../src/exec/reference.ts'
import { opTable } from '../src/ops/table.ts'
import { difference, opCases } from './cases.ts'

const cases = opCases()

test('the cases cover every op', () => {
  const covered = new Set(cases.flatMap(c => c.plan.steps.map(s => s.op)))
  assert.deepEqual([...opTable.keys()].filter(name => !covered.has(name)), [])
  assert.equal(new Set(cases.map(c => c.name)).size, cases.length)
})

test('the reference runs every case, and again to the same bits', async () => {
  const executor = referenceExecutor()
  for (const [i, c] of cases.entries()) {
    const loaded = executor.load(c.plan)
    const one = c.buffers()
    await loaded.run(one, c.bindings)
    if (i % 8 === 0) {
      const two = c.buffers()
      await loaded.run(two, c.bindings)
      assert.equal(difference(c, one, two), null, c.name)
    }
    loaded.dispose()
  }
})

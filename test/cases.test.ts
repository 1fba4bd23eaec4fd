import assert from 'node:assert/strict'
import { test } from 'node:test'
import { referenceExecutor } from '../src/exec/reference.ts'
import { opTable } from '../src/ops/table.ts'
import { difference, opCases } from './cases.ts'

const cases = opCases()

test('the cases cover every op', () => {
  const covered = new Set(cases.flatMap(c => c.plan.steps.map(s => s.op)))
  assert.deepEqual(
    [...opTable.keys()].filter(name => !covered.has(name)),
    []
  )
  assert.equal(new Set(cases.map(c => c.name)).size, cases.length)
})

// native.test.ts runs every case on the reference once
test('the reference runs every eighth case twice to the same bits', async () => {
  const executor = referenceExecutor()
  for (const c of cases.filter((_, i) => i % 8 === 0)) {
    const loaded = executor.load(c.plan)
    const [one, two] = [c.buffers(), c.buffers()]
    await loaded.run(one, c.bindings)
    await loaded.run(two, c.bindings)
    assert.equal(difference(c, one, two), null, c.name)
    loaded.dispose()
  }
})

// long: it kills servers and starts them again
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { crashWithBudget } from './budget-crash.ts'
import { killServers } from './served.ts'

after(killServers)

test('a gateway killed at random moments overshoots no budget, and forgets no request that it answered', async () => {
  const figures = await crashWithBudget(3, 150)
  assert.ok(figures.answered > 40 && figures.refused > 0, JSON.stringify(figures))
})

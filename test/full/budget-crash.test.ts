import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { crashWithBudget } from '../budget-crash.ts'
import { killServers } from '../served.ts'

after(killServers)

test(
  '1,000 parallel requests on one key with a budget, and SIGKILL, 50 times: never overshot, no answered ' +
    'request missing, the log verifies',
  async t => {
    const figures = await crashWithBudget(50, 1000)
    t.diagnostic(JSON.stringify(figures))
    assert.ok(figures.answered > 1000 && figures.refused > 0)
  }
)

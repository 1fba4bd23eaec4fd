/** Asks every route of the table at once, for tests in which what stands behind them has failed. */
import assert from 'node:assert/strict'
import { newKey } from '../../src/store/key-format.ts'
import { routeTable } from '../../src/server/routes.ts'
import type { Target } from './target.ts'

/** Asks every route with a valid key, a wrong one and none; gives the status of each. */
export async function askAll(at: Target): Promise<{ path: string; key: string; status: number }[]> {
  const asked = routeTable
    .filter(r => r.requires !== 'nothing')
    .flatMap(route => ['valid', 'wrong', 'none'].map(key => ({ route, key })))
  return Promise.all(
    asked.map(async ({ route, key }) => {
      const init = {
        method: route.method,
        key: key === 'valid' ? at.all.key : key === 'wrong' ? newKey() : '',
        ...(route.takesBody && { body: '{"prompt":"x","max_tokens":1}' })
      }
      const response = await at.fetch(route.path.replace(':id', at.all.record.id), init)
      await response.arrayBuffer()
      return { path: route.path, key, status: response.status }
    })
  )
}

/** No answer but 503 to those who sent a key, and 401 or 503 to the rest. */
export function nobodyGetsIn(answers: readonly { path: string; key: string; status: number }[]): void {
  for (const { path, key, status } of answers)
    assert.ok(status === 503 || (status === 401 && key !== 'valid'), `${path} with ${key} key: ${status}`)
}

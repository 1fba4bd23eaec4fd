/** `GET /health`: whether requests can be answered, and nothing else. */
import { JSON_TYPE } from './answer-headers.ts'
import type { GatewayContext, OpenAnswer } from './context.ts'

/**
 * After a failure of the store, the rate state or the audit log: long enough for a balancer to send requests elsewhere.
 */
const UNWELL_MS = 5000

const answer = (status: number, state: 'ok' | 'loading' | 'unavailable'): OpenAnswer => ({
  status,
  type: JSON_TYPE,
  body: JSON.stringify({ status: state }),
  ...(status !== 200 && { headers: { 'retry-after': '2' } })
})
const OK = answer(200, 'ok')
const LOADING = answer(503, 'loading')
const UNAVAILABLE = answer(503, 'unavailable')

/** `loading`: there is no runner; `unavailable`: it does not answer, or a dependency of requests has just failed. */
export function health({ model, lastFailure }: GatewayContext): OpenAnswer {
  if (model?.runner.available !== true) return LOADING
  const unwell = lastFailure !== undefined && performance.now() - lastFailure < UNWELL_MS
  return model.runner.answering && !unwell ? OK : UNAVAILABLE
}

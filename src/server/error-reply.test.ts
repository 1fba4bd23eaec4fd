import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { errorReply } from './error-reply.ts'

const headersOf = (e: VeritError): Record<string, string> => errorReply(e, 'req_1').headers
const rate = (retryAfter: number): VeritError => new VeritError('VERIT_RATE_LIMIT', { what: 'tokens of this key', limit: 200, seconds: 60, retryAfter })
const budget = (retryAfter: number): VeritError => new VeritError('VERIT_BUDGET', { window: 'day', asked: 160, left: 94, retryAfter })

test('a rate says when to come back, and a client may wait for it by itself', () => {
  assert.deepEqual(headersOf(rate(60)), { 'retry-after': '60' })
})

test('a budget says when it begins anew, and that no client should sleep until then', () => {
  assert.deepEqual(headersOf(budget(53_164)), { 'retry-after': '53164', 'x-should-retry': 'false' })
  assert.match(budget(53_164).message, /or wait for the next window/)
})

test('where the request alone asks for more than the limit, nothing says that waiting helps', () => {
  for (const error of [rate(Infinity), budget(Infinity)]) {
    assert.deepEqual(headersOf(error), { 'x-should-retry': 'false' })
    assert.doesNotMatch(error.message, /wait|again in/)
  }
})

test('a 429 that knows no time, and a 503, say soon', () => {
  assert.deepEqual(headersOf(new VeritError('VERIT_UNAVAILABLE', { what: 'key store' })), { 'retry-after': '2' })
  assert.deepEqual(headersOf(new VeritError('VERIT_TOO_MANY', { limit: 2 })), { 'retry-after': '1' })
})

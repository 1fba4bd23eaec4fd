import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { errorTable } from '../lib/error-table.ts'
import type { ErrorCode } from '../lib/errors.ts'
import { fieldError } from './dialect.ts'
import { errorReply } from './error-reply.ts'

const headersOf = (e: VeritError): Record<string, string> => errorReply(e, 'req_1').headers
const rate = (retryAfter: number): VeritError =>
  new VeritError('VERIT_RATE_LIMIT', { what: 'tokens of this key', limit: 200, seconds: 60, retryAfter })
const budget = (retryAfter: number): VeritError =>
  new VeritError('VERIT_BUDGET', { window: 'day', asked: 160, left: 94, retryAfter })

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

test('a prompt that is too long has the code and the words on which clients act, and the code of the table', () => {
  const errors = [
    new VeritError('VERIT_PROMPT_LENGTH', { tokens: 412, context: 256 }),
    new VeritError('VERIT_PROMPT_LIMIT', { tokens: 412, limit: 256 })
  ]
  for (const e of errors) {
    const {
      status,
      code,
      body: { error }
    } = errorReply(e, 'req_1')
    assert.deepEqual([status, code, error.verit], [400, e.code, e.code])
    assert.deepEqual([error.code, error.type], ['context_length_exceeded', 'invalid_request_error'])
    assert.match(error.message, /412 tokens.*maximum context length.* is 256 tokens/)
    assert.match(error.message, /prompt is too long/)
  }
  const many = new VeritError('VERIT_PROMPT_LENGTH', { tokens: 257, context: 256, orMore: true })
  assert.match(many.message, /^The prompt has 257 tokens or more; the maximum context length is 256 tokens/)
})

test('no message for a client cites files or options that only the operator has', () => {
  const fields = new Proxy({}, { get: (_, name) => (name === 'instead' ? undefined : '7') })
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const {
      status,
      code: told,
      body: { error }
    } = errorReply(new VeritError(code, fields as never), 'req_1')
    if (told === 'VERIT_INTERNAL' || told !== code) continue // not written for clients
    assert.ok(status >= 400 && error.verit === code)
    assert.doesNotMatch(error.message, /docs\/|(?<!\w)--?[a-z]/, code)
  }
})

test('a wrong field is told in one sentence, and what to do in another', () => {
  const messageOf = (problem: string, instead?: string): string =>
    errorReply(fieldError('n', problem, instead), '').body.error.message
  assert.equal(messageOf('is not supported', 'Leave it out'), 'n is not supported. Leave it out.')
  assert.equal(messageOf('must be a number'), 'n must be a number. Correct it and send the request again.')
})

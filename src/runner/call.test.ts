import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { Call } from './call.ts'
import { errorOf, failureOf } from './failure.ts'
import type { CallEvent } from './messages.ts'

const start: CallEvent = { type: 'start', id: 1, promptTokens: 1, cachedTokens: 0, seed: 1 }
const token: CallEvent = { type: 'token', id: 1, token: 5, text: 'a' }
const end: CallEvent = { type: 'end', id: 1, reason: 'length', promptTokens: 1, completionTokens: 1, promptMs: 1, predictedMs: 1 }
const endOf = (completionTokens: number): CallEvent => ({ ...end, completionTokens })
const isFrameError = (e: unknown): boolean => VeritError.is(e, 'VERIT_RUNNER_FRAME')
const feed = (max: number, events: readonly CallEvent[]): Call => {
  const call = new Call({ maxTokens: max })
  for (const e of events) call.accept(e)
  return call
}

test('events are given in order to a reader that comes late or early', async () => {
  assert.deepEqual(await Array.fromAsync(feed(2, [start, token, token, endOf(2)])), [start, token, token, endOf(2)])
  const call = new Call({ maxTokens: 1 })
  const read = Array.fromAsync(call)
  for (const e of [start, token, end]) {
    await Promise.resolve()
    call.accept(e)
  }
  assert.deepEqual(await read, [start, token, end])
})

test('events out of order, after the end, or beyond the tokens asked for are refused', () => {
  for (const events of [[token], [end], [start, start], [start, end, token], [start, end, end], [start, token, token]]) {
    assert.throws(() => feed(1, events), isFrameError, events.map(e => e.type).join())
  }
})

test('a runner that counts other tokens than it gave is refused, for budgets are charged by its counts', () => {
  for (const n of [0, 1, 3]) assert.throws(() => feed(3, [start, token, token, endOf(n)]), isFrameError, String(n))
  feed(3, [start, token, token, endOf(2)])
  const echo = (...events: CallEvent[]): void => {
    const call = new Call({ maxTokens: 1, echoed: 100 })
    for (const e of events) call.accept(e)
  }
  const prompt = { ...start, promptTokens: 2 }
  const last = (completionTokens: number): CallEvent => ({ ...end, promptTokens: 2, completionTokens })
  echo(prompt, token, token, last(0))
  echo(prompt, token, token, token, last(1))
  assert.throws(() => echo(prompt, token, token, token, last(0)), isFrameError)
  assert.throws(() => echo(prompt, token, last(0)), isFrameError)
  assert.throws(() => echo(prompt, token, token, token, token), isFrameError, 'more than the prompt and the answer')
  feed(3, [start, token, { ...end, reason: 'cancelled', completionTokens: 3 }])
  echo({ ...prompt, cachedTokens: 1 })
  for (const cachedTokens of [2, 3, 2 ** 40]) assert.throws(() => echo({ ...prompt, cachedTokens }), isFrameError, 'the last token of a prompt is never cached')
})

test('a reader that stops has no more than 64 tokens kept for it, and the runner is told of what was taken in halves of that', async () => {
  const told: number[] = []
  const call = new Call({ maxTokens: 1000 }, n => told.push(n))
  call.accept(start)
  for (let i = 0; i < 64; i++) call.accept(token)
  const reader = call[Symbol.asyncIterator]()
  for (let i = 0; i < 1 + 31; i++) await reader.next()
  assert.deepEqual(told, [])
  assert.throws(() => call.accept(token), isFrameError)
  await reader.next()
  assert.deepEqual(told, [32])
  const late = new Call({ maxTokens: 1000 })
  late.accept(start)
  late.discard() // whom nobody reads may send what is on its way
  for (let i = 0; i < 200; i++) late.accept(token)
})

test('a runner cannot fill the memory of the gateway with the text of one call, to a fast reader either', async () => {
  const call = new Call({ maxTokens: 1 << 20 })
  call.accept(start)
  const reader = call[Symbol.asyncIterator]()
  await reader.next()
  const long = 'x'.repeat(64 << 10)
  const large: CallEvent = { ...token, text: long, top: [{ token: 1, text: long, logprob: -1 }] }
  const flood = async (): Promise<void> => {
    for (let i = 0; i < 513; i++) {
      call.accept(large)
      await reader.next()
    }
  }
  await assert.rejects(flood, /more text than an answer/)
})

test('a failure ends the reading after what came before it', async () => {
  const call = feed(1, [start])
  call.fail(new Error('gone'))
  const seen: CallEvent[] = []
  await assert.rejects(async () => {
    for await (const e of call) seen.push(e)
  }, /gone/)
  assert.deepEqual(seen, [start])
  await call.ended
})

test('an error crosses the wire by its code and fields; words, unknown codes and missing fields do not', () => {
  const sent = failureOf(new VeritError('VERIT_TOKEN_ID', { id: 9, vocabSize: 4 }))
  const got = errorOf(JSON.parse(JSON.stringify(sent)) as typeof sent)
  assert.equal(got.message, 'There is no token 9: the vocabulary has 4 tokens. Use ids from 0 to the size less one.')
  assert.equal(got.status, 400)
  assert.throws(() => errorOf({ code: 'VERIT_NONE', fields: {} }), isFrameError)
  assert.throws(() => errorOf({ code: 'toString', fields: {} }), isFrameError)
  // refusals that the log and the rules for unusual use count, and fields that become headers
  assert.throws(() => errorOf({ code: 'VERIT_BUDGET', fields: { window: 'day', asked: 1, left: 0, retryAfter: 1e300 } }), isFrameError)
  assert.throws(() => errorOf({ code: 'VERIT_UNAUTHORIZED', fields: { problem: 'x' } }), isFrameError)
  assert.throws(() => errorOf({ code: 'VERIT_METHOD', fields: { allowed: '\u2603' } }), isFrameError)
  assert.throws(() => errorOf({ code: 'VERIT_CHAT', fields: { problem: 'x', retryAfter: -1 } }), isFrameError)
  assert.match(errorOf({ code: 'VERIT_CHAT', fields: { problem: 'a\x1b[2Jb' } }).message, /a\\u\{1b\}\[2Jb/)
})

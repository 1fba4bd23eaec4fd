import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { Call } from './call.ts'
import { errorOf, failureOf } from './failure.ts'
import type { CallEvent } from './messages.ts'

const start: CallEvent = { type: 'start', id: 1, promptTokens: 1, cachedTokens: 0, seed: 1 }
const token: CallEvent = { type: 'token', id: 1, token: 5, text: 'a' }
const end: CallEvent = {
  type: 'end',
  id: 1,
  reason: 'length',
  promptTokens: 1,
  completionTokens: 1,
  promptMs: 1,
  predictedMs: 1
}
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
  for (const events of [
    [token],
    [end],
    [start, start],
    [start, end, token],
    [start, end, end],
    [start, token, token]
  ]) {
    assert.throws(() => feed(1, events), isFrameError, events.map(e => e.type).join())
  }
})

test('a runner that counts other tokens than it gave is refused, for budgets are charged by its counts', () => {
  for (const n of [0, 1, 3]) assert.throws(() => feed(3, [start, token, token, endOf(n)]), isFrameError, String(n))
  feed(3, [start, token, token, endOf(2)])
  const echo = (...events: CallEvent[]): void => {
    const call = new Call({ maxTokens: 1, echo: true })
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
  for (const cachedTokens of [2, 3, 2 ** 40])
    assert.throws(() => echo({ ...prompt, cachedTokens }), isFrameError, 'the last token of a prompt is never cached')
})

test(
  'a reader that stops has no more than 64 tokens kept for it, and the runner is told of what was taken in ' +
    'halves of that',
  async () => {
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
    late.discard() // what is on its way when nobody reads any more may come, and no more
    for (let i = 0; i < 64; i++) late.accept(token)
    assert.throws(() => late.accept(token), isFrameError)
  }
)

test('a call that was cancelled may end before it has begun, another may not', async () => {
  const cancelled: CallEvent = { ...end, reason: 'cancelled', promptTokens: 0, completionTokens: 0 }
  const call = new Call({ maxTokens: 1 })
  call.discard()
  call.accept(cancelled)
  await call.ended
  assert.throws(() => feed(1, [cancelled]), isFrameError)
  assert.throws(() => feed(1, [end]), isFrameError)
})

test('what was reserved bounds prompt and answer together, whatever else was asked for', () => {
  const call = (mostTokens: number): Call => new Call({ maxTokens: 5, maxPromptTokens: 5, mostTokens })
  const prompt = { ...start, promptTokens: 3 }
  assert.throws(() => call(2).accept(prompt), isFrameError)
  const four = call(4)
  four.accept(prompt)
  four.accept(token)
  assert.throws(() => four.accept(token), isFrameError)
  const echo = new Call({ maxTokens: 5, mostTokens: 4, echo: true })
  for (const event of [prompt, token, token, token, token]) echo.accept(event)
  assert.throws(() => echo.accept(token), isFrameError)
})

test('log probabilities and alternatives come only where they were asked for, and no more than those', () => {
  const give = (logprobs: number | undefined, event: object): void => {
    const call = new Call({ maxTokens: 1, logprobs })
    call.accept(start)
    call.accept({ ...token, ...event } as CallEvent)
  }
  const top = (n: number): { token: number; text: string; logprob: number }[] =>
    Array.from({ length: n }, () => ({ token: 1, text: 'x', logprob: -1 }))
  give(undefined, {})
  give(0, { logprob: -1, top: [] })
  give(2, { logprob: -1, top: top(2) })
  for (const [asked, event] of [
    [undefined, { logprob: -1 }],
    [undefined, { top: [] }],
    [0, { top: top(1) }],
    [2, { top: top(3) }]
  ] as const) {
    assert.throws(() => give(asked, event), isFrameError)
  }
})

/** Feeds a call and reads it at once; gives what it took before it was refused. */
async function flood(event: CallEvent, logprobs?: number): Promise<number> {
  const call = new Call({ maxTokens: 1 << 20, logprobs })
  call.accept(start)
  const reader = call[Symbol.asyncIterator]()
  await reader.next()
  for (let n = 0; ; n++) {
    try {
      call.accept(event)
    } catch (e) {
      assert.match(String(e), /more text than tokens can have/)
      return n
    }
    await reader.next()
  }
}

test('a runner cannot fill the memory of the gateway with the text of one call, to a fast reader either', async () => {
  const long = 'x'.repeat(4096)
  // of 4,096 characters, 128 are a token's own, and 65,536 may come on top
  assert.equal(await flood({ ...token, text: long }), 16)
  // Twenty times as much text, where twenty alternatives were asked for.
  assert.equal(
    await flood(
      {
        ...token,
        logprob: 0,
        top: Array.from({ length: 20 }, () => ({ token: 1, text: long, logprob: 0 }))
      } as CallEvent,
      20
    ),
    0
  )
  const call = new Call({ maxTokens: 1 << 20 })
  call.accept(start)
  const reader = call[Symbol.asyncIterator]()
  await reader.next()
  for (let i = 0; i < 10_000; i++) {
    // tokens of 128 characters, as long as the longest that vocabularies have, never are too much
    call.accept({ ...token, text: 'x'.repeat(128) } as CallEvent)
    await reader.next()
  }
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
  assert.equal(
    got.message,
    'There is no token 9: the vocabulary has 4 tokens. Use ids from 0 to the vocabulary size less one.'
  )
  assert.equal(got.status, 400)
  assert.throws(() => errorOf({ code: 'VERIT_NONE', fields: {} }), isFrameError)
  assert.throws(() => errorOf({ code: 'toString', fields: {} }), isFrameError)
  // refusals that the log and the rules for unusual use count, and fields that become headers
  assert.throws(
    () => errorOf({ code: 'VERIT_BUDGET', fields: { window: 'day', asked: 1, left: 0, retryAfter: 1e300 } }),
    isFrameError
  )
  assert.throws(() => errorOf({ code: 'VERIT_UNAUTHORIZED', fields: { problem: 'x' } }), isFrameError)
  assert.throws(() => errorOf({ code: 'VERIT_METHOD', fields: { allowed: '\u2603' } }), isFrameError)
  assert.throws(() => errorOf({ code: 'VERIT_CHAT', fields: { problem: 'x', retryAfter: -1 } }), isFrameError)
  assert.match(errorOf({ code: 'VERIT_CHAT', fields: { problem: 'a\x1b[2Jb' } }).message, /a\\u\{1b\}\[2Jb/)
})

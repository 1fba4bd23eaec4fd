import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { FROM_RUNNER_LIMIT, FrameDecoder, encodeFrame } from './frames.ts'
import { checkFromRunner, checkToRunner } from './messages.ts'

const isFrameError = (e: unknown): boolean => VeritError.is(e, 'VERIT_RUNNER_FRAME')
const decode = (bytes: Uint8Array, cuts: readonly number[] = [], limit = 1000): unknown[] => {
  const decoder = new FrameDecoder(limit)
  const at = [0, ...cuts.map(c => Math.min(c, bytes.length)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).flatMap((end, i) => {
    const messages = [...decoder.push(bytes.subarray(at[i], end))]
    assert.ok(decoder.held <= limit + 4 + bytes.length)
    return messages
  })
}

test('messages come back as they were sent, however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue(), { maxLength: 5 }),
      fc.array(fc.nat(400), { maxLength: 10 }),
      (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(m => encodeFrame(m, 1000)))
        assert.deepEqual(
          decode(bytes, cuts),
          messages.map(m => JSON.parse(JSON.stringify(m)) as unknown)
        )
      }
    )
  )
  const one = encodeFrame({ text: 'ä€😀' }, 1000)
  assert.deepEqual(
    decode(
      one,
      Array.from({ length: one.length }, (_, i) => i)
    ),
    [{ text: 'ä€😀' }]
  )
})

test('any bytes give messages or a frame error, and after an error nothing more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(200), { maxLength: 5 }), (bytes, cuts) => {
      try {
        decode(bytes, cuts)
      } catch (e) {
        assert.ok(isFrameError(e))
      }
    }),
    { numRuns: 2000 }
  )
  const decoder = new FrameDecoder(10)
  assert.throws(() => [...decoder.push(Buffer.from([0, 0, 0, 0]))], isFrameError)
  assert.throws(() => [...decoder.push(encodeFrame(1, 10))], isFrameError)
})

test('a length over the limit is refused before its bytes arrive; the limit itself is accepted', () => {
  const text = 'x'.repeat(998)
  assert.deepEqual(decode(encodeFrame(text, 1000)), [text])
  assert.throws(() => encodeFrame(`${text}y`, 1000), isFrameError)
  assert.throws(() => decode(encodeFrame(`${text}y`, 2000)), isFrameError)
  assert.throws(() => decode(Buffer.from([0xff, 0xff, 0xff, 0xff])), isFrameError)
})

test('bytes that are not UTF-8 or not JSON are refused', () => {
  const raw = (body: Buffer): Buffer => Buffer.concat([Buffer.from([body.length, 0, 0, 0]), body])
  for (const body of ['{', '{}x', 'NaN', '\ufeff{}'])
    assert.throws(() => decode(raw(Buffer.from(body))), isFrameError, body)
  assert.throws(() => decode(raw(Buffer.from([0x22, 0xc3, 0x22]))), isFrameError)
  assert.throws(() => decode(raw(Buffer.from('['.repeat(200)))), isFrameError)
})

test('a message of an unknown type, with an unknown field, or out of range is refused on both sides', () => {
  assert.deepEqual(checkFromRunner({ type: 'pong', id: 1 }), { type: 'pong', id: 1 })
  assert.deepEqual(checkToRunner({ type: 'cancel', id: 1 }), { type: 'cancel', id: 1 })
  const bad = [
    null,
    [],
    'pong',
    {},
    { type: 'exec', id: 1 },
    { type: 'pong', id: 0 },
    { type: 'pong', id: 1.5 },
    { type: 'pong', id: '1' },
    { type: 'pong', id: 1, more: 1 },
    { type: 'token', id: 1, token: -1, text: '' },
    { type: 'token', id: 1, token: 1, text: 'x'.repeat(65537) },
    { type: 'token', id: 1, token: 1, text: 7 },
    { type: 'end', id: 1, reason: 'because', promptTokens: 1, completionTokens: 1, promptMs: 1, predictedMs: 1 },
    { type: 'error', id: 1, code: 'nonsense', fields: {} },
    { type: 'error', id: 1, code: 'VERIT_INTERNAL', fields: { x: {} } },
    JSON.parse('{"type":"pong","id":1,"__proto__":{"x":1}}') as unknown,
    { type: 'load', name: 'x', path: '/etc' }
  ]
  for (const message of bad) {
    assert.throws(() => checkFromRunner(message), isFrameError, JSON.stringify(message))
    assert.throws(() => checkToRunner(message), isFrameError, JSON.stringify(message))
  }
})

test('no JSON value passes the schemas by accident', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      for (const check of [checkFromRunner, checkToRunner]) assert.throws(() => check(value), isFrameError)
    })
  )
  assert.ok(FROM_RUNNER_LIMIT < 1 << 20)
})

test('what a runner says about its engine is checked, and neither too long nor more than the schema', () => {
  const info = {
    name: 'x',
    architecture: 'x',
    parameters: 1,
    vocabSize: 1,
    context: 9,
    modelContext: 9,
    executor: 'x',
    threads: 1
  }
  const capabilities = { bitExact: true, logProbabilities: false, constrainedOutput: false, embeddings: true }
  const ready = (more: object): unknown => ({ type: 'ready', info: { ...info, ...more } })
  checkFromRunner(ready({}))
  checkFromRunner(ready({ engine: 'verit', capabilities }))
  const bad = [
    { engine: 'x'.repeat(257) },
    { engine: 5 },
    { capabilities: {} },
    { capabilities: null },
    { capabilities: [] },
    { capabilities: { ...capabilities, more: true } },
    ...Object.keys(capabilities).flatMap(name =>
      [1, 'true', null, undefined].map(value => ({ capabilities: { ...capabilities, [name]: value } }))
    )
  ]
  for (const more of bad)
    assert.throws(() => checkFromRunner(ready(more)), { code: 'VERIT_RUNNER_FRAME' }, JSON.stringify(more))
})

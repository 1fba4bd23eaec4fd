/**
 * The limits along the way of a request, compared with one another: whatever body passes the gateway's schemas becomes
 * a message that fits the frame the runner was told of and passes the runner's schema; and whatever a runner may answer
 * fits the frame that the gateway takes.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChatFormat } from '../src/engine/chat-format.ts'
import { byteTokenizer } from '../src/bench/random-model.ts'
import { MAX_TEXT, requestNumbers } from '../src/engine/request.ts'
import { StopFilter } from '../src/engine/stop-filter.ts'
import { VeritError } from '../src/lib/errors.ts'
import { parseStrictJson } from '../src/lib/strict-json.ts'
import {
  FROM_RUNNER_LIMIT,
  FrameDecoder,
  LOAD_LIMIT,
  MOST_BODY,
  encodeFrame,
  toRunnerLimit
} from '../src/runner/frames.ts'
import { MOST_PROMPT_TEXT, checkFromRunner, checkToRunner } from '../src/runner/messages.ts'
import { ALTERNATIVES, EVENT_TEXT, TOKEN_TEXT } from '../src/runner/text-limits.ts'
import { readChat } from '../src/server/chat.ts'
import { readCompletion } from '../src/server/completions.ts'
import { ServerConfig } from '../src/server/config.ts'
import type { GenerationCall } from '../src/server/generation.ts'
import { byteSpelling } from '../src/tokenizer/bytes.ts'
import { MAX_TOKEN_LENGTH } from '../src/tokenizer/parts.ts'
import { sentencePieceLimits } from '../src/tokenizer/sentencepiece-limits.ts'
import { Tokenizer } from '../src/tokenizer/tokenizer.ts'

/** The frame that a body becomes, with the longest of all that the gateway adds. */
function frameOf(body: string, read: (value: unknown) => GenerationCall, bodyBytes: number): Buffer | undefined {
  let call: GenerationCall
  try {
    call = read(parseStrictJson(Buffer.from(body)))
  } catch (e) {
    if (VeritError.is(e) && (e.status ?? 500) < 500) return undefined
    throw e
  }
  const sampling = { ...call.sampling, maxTokens: 1 << 20, maxPromptTokens: 1 << 20 }
  const message = {
    type: 'generate',
    id: Number.MAX_SAFE_INTEGER,
    prompt: call.prompt,
    sampling,
    tenant: `owner ${'\u0001'.repeat(128)}`
  }
  const frame = encodeFrame(message, toRunnerLimit(bodyBytes))
  const [back] = new FrameDecoder(toRunnerLimit(bodyBytes)).push(frame)
  checkToRunner(back)
  assert.deepEqual(back, JSON.parse(JSON.stringify(message)))
  return frame
}

/** Spellings in JSON, some of which are longer in a frame: of numbers, and of characters. */
const numbers = ['0', '1e9', '2147483647', '1E1', '20e0', '1e-0', '5']
const characters = [
  'a',
  '\\u0001',
  '\\n',
  '\\"',
  '\\ud800',
  '\u{1f600}',
  '\\ud83d\\ude00',
  '\u2028',
  '\u007f',
  'é',
  '\ufeff',
  '/',
  '\\/'
]
const repeated = (list: readonly string[], separator = ''): fc.Arbitrary<string> =>
  fc.tuple(fc.array(fc.constantFrom(...list), { minLength: 1, maxLength: 4 }), fc.nat(400)).map(([some, times]) =>
    Array(times + 1)
      .fill(some.join(separator))
      .join(separator)
  )
const text = repeated(characters).map(t => `"${t}"`)
const prompt = fc.oneof(
  text,
  text.map(t => `[${t}]`),
  repeated(numbers, ',').map(ids => `[${ids}]`),
  repeated(numbers, ',').map(ids => `[[${ids}]]`),
  fc.constantFrom('[]', '""', '[[]]')
)
const roles = fc.constantFrom('system', 'developer', 'user', 'assistant')
const content = fc.oneof(
  text,
  fc.array(text, { maxLength: 3 }).map(parts => `[${parts.map(t => `{"type":"text","text":${t}}`).join(',')}]`),
  fc.constantFrom('""', '[]')
)
const messages = fc
  .array(fc.tuple(roles, content), { minLength: 1, maxLength: 40 })
  .map(list => `[${list.map(([role, c]) => `{"role":"${role}","content":${c}}`).join(',')}]`)
const others = fc
  .subarray([
    '"temperature":1e-7',
    '"top_p":1e-300',
    '"seed":9007199254740991',
    '"presence_penalty":-1e-9',
    '"min_p":1E-5',
    '"top_k":1e5',
    '"ignore_eos":true',
    `"stop":[${Array(8)
      .fill(`"${'\\u0001'.repeat(200)}"`)
      .join(',')}]`
  ])
  .map(list => list.map(field => `,${field}`).join(''))

test('every body that passes the schemas makes a frame that fits its limit and passes the schema of the runner', () => {
  let passed = 0
  const check = (body: string, read: (value: unknown) => GenerationCall): void => {
    // The smallest limit that lets such a body in.
    const frame = frameOf(body, read, Math.max(1024, Buffer.byteLength(body)))
    if (frame !== undefined) passed++
  }
  fc.assert(
    fc.property(prompt, others, (p, more) => check(`{"prompt":${p}${more},"logprobs":20}`, readCompletion)),
    { numRuns: 120 }
  )
  fc.assert(
    fc.property(messages, others, (m, more) => check(`{"messages":${m}${more},"logprobs":true}`, readChat)),
    { numRuns: 80 }
  )
  assert.ok(passed > 150, `${passed} passed`)
})

test('that holds for the largest body too, of what grows most, and for every limit that can be configured', () => {
  for (const bytes of [1024, 1 << 18]) {
    const ids = '1e9,'.repeat((bytes - 30) / 4)
    const frame = frameOf(`{"prompt":[${ids}0],"echo":true}`, readCompletion, bytes)!
    assert.ok(frame.length > 2.5 * bytes && frame.length - 4 <= toRunnerLimit(bytes) - LOAD_LIMIT / 2)
  }
  const { minimum, maximum } = ServerConfig.properties.http.properties.bodyBytes as {
    minimum?: number
    maximum?: number
  }
  assert.ok(minimum! >= 1 && maximum === MOST_BODY)
  checkToRunner({ type: 'load', name: 'x', frameBytes: toRunnerLimit(MOST_BODY) })
  assert.throws(() => checkToRunner({ type: 'load', name: 'x', frameBytes: toRunnerLimit(MOST_BODY) + 1 }))
})

test('the settings of a load fit their frame, whatever they are', () => {
  const message = {
    type: 'load',
    name: '\u0001'.repeat(4096),
    cores: '\u0001'.repeat(4096),
    instructionSet: '\u0001'.repeat(256),
    packing: '\u0001'.repeat(256),
    frameBytes: toRunnerLimit(MOST_BODY)
  }
  checkToRunner(message)
  encodeFrame(message, LOAD_LIMIT)
})

test('every answer that a runner may give fits its frame', () => {
  const longest = '\u0001'.repeat(TOKEN_TEXT)
  const logprob = -1.7976931348623157e308
  const event = {
    type: 'token',
    id: Number.MAX_SAFE_INTEGER,
    token: 0x7fffffff,
    text: '\u0001'.repeat(EVENT_TEXT),
    logprob,
    top: Array.from({ length: ALTERNATIVES }, () => ({ token: 0x7fffffff, text: longest, logprob }))
  }
  checkFromRunner(event)
  encodeFrame(event, FROM_RUNNER_LIMIT)
  for (const field of ['text', 'top'] as const) {
    assert.throws(
      () => checkFromRunner({ ...event, [field]: field === 'text' ? `${event.text}x` : [...event.top, event.top[0]] }),
      field
    )
  }
  const failure = {
    type: 'error',
    id: 1,
    code: 'VERIT_CHAT',
    fields: Object.fromEntries([...'abcdefgh'].map(c => [c, '\u0001'.repeat(2000)]))
  }
  checkFromRunner(failure)
  encodeFrame(failure, FROM_RUNNER_LIMIT)
})

test('no token has a text longer than the limit, with all bytes that may be held back before it', () => {
  assert.equal(TOKEN_TEXT, MAX_TOKEN_LENGTH)
  assert.ok(
    Math.max(sentencePieceLimits.pieceUnits, sentencePieceLimits.specialUnits, sentencePieceLimits.nameBytes) <=
      TOKEN_TEXT
  )
  assert.equal(ALTERNATIVES, requestNumbers.logprobs.high)
  const ids = byteSpelling.map((_, i) => i)
  const tokenizer = Tokenizer.fromParts({
    tokens: [...byteSpelling, byteSpelling[0x80]!.repeat(TOKEN_TEXT), 'a'.repeat(TOKEN_TEXT)],
    tokenTypes: [...ids, 0, 0].map(() => 1),
    merges: [],
    pretokenizer: 'gpt-2'
  })
  const stop = 'b'.repeat(256)
  for (const long of [256, 257]) {
    const decoder = tokenizer.decodeStream()
    const filter = new StopFilter([stop])
    for (let i = 0; i < 255; i++) assert.equal(filter.push(decoder.push(0x62)), '')
    for (const byte of [0xf0, 0x9f, 0x98]) filter.push(decoder.push(byte))
    const released = filter.push(decoder.push(long)) + filter.end()
    assert.ok(released.length > TOKEN_TEXT && released.length <= EVENT_TEXT, `${released.length}`)
  }
})

test('gateway and engine take prompts of the same length', () => {
  assert.equal(MOST_PROMPT_TEXT, MAX_TEXT)
  assert.throws(
    () =>
      new ChatFormat(undefined, byteTokenizer(257)).prompt([
        { role: 'user', content: 'x'.repeat(MOST_PROMPT_TEXT + 1) }
      ]),
    { code: 'VERIT_CHAT' }
  )
})

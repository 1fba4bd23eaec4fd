import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { readChat } from './chat.ts'
import { readCompletion } from './completions.ts'

const messages = [{ role: 'user', content: 'x' }]
const field = (name: string, words?: RegExp) => (e: unknown): boolean =>
  VeritError.is(e, 'VERIT_REQUEST') && e.fields.field === name && (words === undefined || words.test(e.message))

test('the fields of a completion become the sampling of the engine', () => {
  const call = readCompletion({
    prompt: 'a', max_tokens: 5, temperature: 0, top_p: 0.5, top_k: 3, min_p: 0.1, seed: 7, stop: 'x', presence_penalty: 1, frequency_penalty: -1,
    repetition_penalty: 1.1, logprobs: 2, stream: true, stream_options: { include_usage: true }, model: 'm',
  })
  assert.deepEqual(call.prompt, { text: 'a' })
  assert.deepEqual(call.sampling, {
    temperature: 0, topP: 0.5, topK: 3, minP: 0.1, repetitionPenalty: 1.1, presencePenalty: 1, frequencyPenalty: -1, seed: 7, stop: ['x'],
    logprobs: 2,
  })
  assert.equal(call.askedTokens, 5)
  assert.deepEqual([call.stream, call.includeUsage, call.model], [true, true, 'm'])
})

test('what is absent or null takes the defaults', () => {
  const whole = readCompletion({ prompt: 'a', temperature: null, stop: null })
  assert.deepEqual([whole.sampling, whole.askedTokens, whole.defaultTokens], [{}, undefined, 128])
  const chat = readChat({ messages, max_tokens: null, logprobs: null })
  assert.deepEqual([chat.sampling, chat.askedTokens, chat.defaultTokens], [{}, undefined, 1024])
})

test('a prompt is a text, a list of ids, or a list of one of them', () => {
  for (const [prompt, expected] of [['a', { text: 'a' }], [['a'], { text: 'a' }], [[1, 2], { tokens: [1, 2] }], [[[1]], { tokens: [1] }], [[], { tokens: [] }]]) {
    assert.deepEqual(readCompletion({ prompt }).prompt, expected)
  }
  for (const prompt of [['a', 'b'], [[1], [2]], ['a', 1], [1.5], [-1], {}, 3]) assert.throws(() => readCompletion({ prompt }), field('prompt'), JSON.stringify(prompt))
})

test('a conversation keeps its roles; developer is system; parts of text are joined; an answer may be sent back as it came', () => {
  const { prompt } = readChat({
    messages: [
      { role: 'developer', content: 'd' }, { role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'text', text: 'b' }], name: 'n' },
      { role: 'assistant', content: 'c', refusal: null, annotations: [], audio: null, tool_calls: null },
    ],
  })
  assert.deepEqual(prompt, { messages: [{ role: 'system', content: 'd' }, { role: 'user', content: 'ab' }, { role: 'assistant', content: 'c' }] })
})

test('an unsupported field is refused by name and reason unless it asks for nothing', () => {
  const refused = [['n', 2], ['tools', [{}]], ['response_format', { type: 'json_object' }], ['logit_bias', { 5: 1 }], ['functions', [{}]], ['suffix', 'x'], ['best_of', 3],
    ['reasoning_effort', 'high'], ['audio', {}], ['tool_choice', 'required']] as const
  for (const [name, value] of refused) assert.throws(() => readChat({ messages, [name]: value }), field(name, /is not supported: /))
  readChat({ messages, n: 1, tools: [], response_format: { type: 'text' }, logit_bias: {}, user: 'u', metadata: { a: 'b' }, store: true, parallel_tool_calls: true })
  assert.throws(() => readChat({ messages, temprature: 1 }), field('"temprature"', /is not a field/))
  assert.throws(() => readChat({ messages, toString: 1 }), field('"toString"'))
})

test('the error names the field, its range and the place inside it', () => {
  assert.throws(() => readChat({ messages, temperature: 2.1 }), field('temperature', /a number from 0 to 2/))
  assert.throws(() => readChat({ messages, seed: -1 }), field('seed'))
  assert.throws(() => readChat({ messages, stop: [''] }), field('stop'))
  assert.throws(() => readChat({ messages, stop: Array.from({ length: 9 }, () => 'x') }), field('stop'))
  assert.throws(() => readChat({ messages: [...messages, { role: 'tool', content: 'x' }] }), field('messages', /messages\[1\]\.role/))
  assert.throws(() => readChat({ messages: [] }), field('messages'))
  assert.throws(() => readChat({}), field('messages', /is required/))
  assert.throws(() => readCompletion({ max_tokens: 1 }), field('prompt', /is required/))
  assert.equal(readCompletion({ prompt: 'x', echo: true }).sampling.echo, true)
  assert.throws(() => readCompletion({ prompt: 'x', echo: true, logprobs: 0 }), field('echo'))
  assert.throws(() => readChat({ messages, top_logprobs: 3 }), field('top_logprobs'))
  assert.throws(() => readChat({ messages, max_tokens: 1, max_completion_tokens: 2 }), field('max_tokens'))
  assert.throws(() => readChat({ messages, stream_options: {} }), field('stream_options'))
  for (const body of [null, [], 'x', 5]) assert.throws(() => readChat(body), (e: unknown) => VeritError.is(e, 'VERIT_JSON'))
})

test('numbers at the edges are accepted and just beyond them refused', () => {
  const edges = { temperature: [0, 2], top_p: [0, 1], min_p: [0, 1], presence_penalty: [-2, 2], frequency_penalty: [-2, 2], repetition_penalty: [0.1, 10] } as const
  for (const [name, [low, high]] of Object.entries(edges)) {
    for (const value of [low, high]) readChat({ messages, [name]: value })
    for (const value of [low - 1e-9, high + 1e-9, Infinity, NaN, '1', true, []]) assert.throws(() => readChat({ messages, [name]: value }), field(name))
  }
  for (const [name, high] of [['max_tokens', 1 << 20], ['top_k', 1 << 20], ['seed', Number.MAX_SAFE_INTEGER]] as const) {
    for (const value of [0, high]) readChat({ messages, [name]: value })
    for (const value of [-1, high + 1, 0.5]) assert.throws(() => readChat({ messages, [name]: value }), field(name))
  }
})

test('any body is understood or refused with an error of the table', () => {
  const names = fc.constantFrom('messages', 'prompt', 'model', 'stop', 'n', 'stream', 'temperature', 'tools', 'user', 'logprobs', 'stream_options', 'x')
  fc.assert(fc.property(fc.dictionary(names, fc.jsonValue()), body => {
    for (const read of [readChat, readCompletion]) {
      try {
        read(body)
      } catch (e) {
        assert.ok(VeritError.is(e) && e.status === 400)
      }
    }
  }))
})

test('of a body of very many parts only the field is named, for the search for the part would keep everybody else waiting', () => {
  const many = (item: unknown): unknown[] => Array.from({ length: 5000 }, () => item)
  for (const prompt of [many({}), many(1.5), many([{}])]) assert.throws(() => readCompletion({ prompt }), field('prompt', /must be a text/))
  assert.throws(() => readCompletion({ prompt: 'a', stop: many('x') }), field('stop', /at most 8/))
  assert.throws(() => readCompletion({ stop: 'x', seed: 1.5, logprobs: many(1) }), field('seed'))
  assert.throws(() => readChat({ messages: [{ role: 'user', content: many({ type: 'text', text: '' }) }] }), field('messages', /1 to 1024 messages/))
})

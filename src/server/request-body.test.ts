import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { chatDialect, readChat } from './chat.ts'
import { messageFields, partFields } from './chat-messages.ts'
import { completionsDialect, readCompletion } from './completions.ts'
import { newReading } from './dialect.ts'
import type { Dialect } from './dialect.ts'

const messages = [{ role: 'user', content: 'x' }]
const field =
  (name: string, words?: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, 'VERIT_REQUEST') && e.fields.field === name && (words === undefined || words.test(e.message))

test('the fields of a completion become the sampling of the engine', () => {
  const call = readCompletion({
    prompt: 'a',
    max_tokens: 5,
    temperature: 0,
    top_p: 0.5,
    top_k: 3,
    min_p: 0.1,
    seed: 7,
    stop: 'x',
    presence_penalty: 1,
    frequency_penalty: -1,
    repetition_penalty: 1.1,
    logprobs: 2,
    stream: true,
    stream_options: { include_usage: true },
    model: 'm'
  })
  assert.deepEqual(call.prompt, { text: 'a' })
  assert.deepEqual(call.sampling, {
    temperature: 0,
    topP: 0.5,
    topK: 3,
    minP: 0.1,
    repetitionPenalty: 1.1,
    presencePenalty: 1,
    frequencyPenalty: -1,
    seed: 7,
    stop: ['x'],
    logprobs: 2
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
  for (const [prompt, expected] of [
    ['a', { text: 'a' }],
    [['a'], { text: 'a' }],
    [[1, 2], { tokens: [1, 2] }],
    [[[1]], { tokens: [1] }],
    [[], { tokens: [] }]
  ]) {
    assert.deepEqual(readCompletion({ prompt }).prompt, expected)
  }
  for (const prompt of [['a', 'b'], [[1], [2]], ['a', 1], [1.5], [-1], {}, 3])
    assert.throws(() => readCompletion({ prompt }), field('prompt'), JSON.stringify(prompt))
})

test(
  'a conversation keeps its roles; developer is system; parts of text are joined; an answer may be sent back ' +
    'as it came',
  () => {
    const { prompt } = readChat({
      messages: [
        { role: 'developer', content: 'd' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' }
          ],
          name: 'n'
        },
        { role: 'assistant', content: 'c', refusal: null, annotations: [], audio: null, tool_calls: null }
      ]
    })
    assert.deepEqual(prompt, {
      messages: [
        { role: 'system', content: 'd' },
        { role: 'user', content: 'ab' },
        { role: 'assistant', content: 'c' }
      ]
    })
  }
)

test('an unsupported field is refused by name and reason unless it asks for nothing', () => {
  const refused = [
    ['n', 2],
    ['tools', [{}]],
    ['response_format', { type: 'json_object' }],
    ['logit_bias', { 5: 1 }],
    ['functions', [{}]],
    ['suffix', 'x'],
    ['best_of', 3],
    ['reasoning_effort', 'high'],
    ['audio', {}],
    ['tool_choice', 'required']
  ] as const
  for (const [name, value] of refused) {
    assert.throws(() => readChat({ messages, [name]: value }), field(name, /is not supported\. \S/))
  }
  readChat({
    messages,
    n: 1,
    tools: [],
    response_format: { type: 'text' },
    logit_bias: {},
    user: 'u',
    metadata: { a: 'b' },
    store: true,
    parallel_tool_calls: true
  })
  assert.throws(() => readChat({ messages, temprature: 1 }), field('"temprature"', /is not a field/))
  assert.throws(() => readChat({ messages, toString: 1 }), field('"toString"'))
})

test('the error names the field, its range and the place inside it', () => {
  assert.throws(() => readChat({ messages, temperature: 2.1 }), field('temperature', /a number from 0 to 2/))
  assert.throws(() => readChat({ messages, seed: -1 }), field('seed'))
  assert.throws(() => readChat({ messages, stop: [''] }), field('stop'))
  assert.throws(() => readChat({ messages, stop: Array.from({ length: 9 }, () => 'x') }), field('stop'))
  const tool = { role: 'tool', content: 'x' }
  assert.throws(() => readChat({ messages: [...messages, tool] }), field('messages[1].role', /"tool", which is not/))
  assert.throws(() => readChat({ messages: [] }), field('messages'))
  assert.throws(() => readChat({}), field('messages', /is required/))
  assert.throws(() => readCompletion({ max_tokens: 1 }), field('prompt', /is required/))
  assert.equal(readCompletion({ prompt: 'x', echo: true }).sampling.echo, true)
  assert.throws(() => readCompletion({ prompt: 'x', echo: true, logprobs: 0 }), field('echo'))
  assert.throws(() => readChat({ messages, top_logprobs: 3 }), field('top_logprobs'))
  assert.throws(() => readChat({ messages, max_tokens: 1, max_completion_tokens: 2 }), field('max_tokens'))
  assert.throws(() => readChat({ messages, stream_options: {} }), field('stream_options'))
  for (const body of [null, [], 'x', 5])
    assert.throws(
      () => readChat(body),
      (e: unknown) => VeritError.is(e, 'VERIT_JSON')
    )
})

test('numbers at the edges are accepted and just beyond them refused', () => {
  const edges = {
    temperature: [0, 2],
    top_p: [0, 1],
    min_p: [0, 1],
    presence_penalty: [-2, 2],
    frequency_penalty: [-2, 2],
    repetition_penalty: [0.1, 10]
  } as const
  for (const [name, [low, high]] of Object.entries(edges)) {
    for (const value of [low, high]) readChat({ messages, [name]: value })
    for (const value of [low - 1e-9, high + 1e-9, Infinity, NaN, '1', true, []])
      assert.throws(() => readChat({ messages, [name]: value }), field(name))
  }
  for (const [name, high] of [
    ['max_tokens', 1 << 20],
    ['top_k', 1 << 20],
    ['seed', Number.MAX_SAFE_INTEGER]
  ] as const) {
    for (const value of [0, high]) readChat({ messages, [name]: value })
    for (const value of [-1, high + 1, 0.5]) assert.throws(() => readChat({ messages, [name]: value }), field(name))
  }
})

test('any body is understood or refused with an error of the table', () => {
  const names = fc.constantFrom(
    'messages',
    'prompt',
    'model',
    'stop',
    'n',
    'stream',
    'temperature',
    'tools',
    'user',
    'logprobs',
    'stream_options',
    'x'
  )
  fc.assert(
    fc.property(fc.dictionary(names, fc.jsonValue()), body => {
      for (const read of [readChat, readCompletion]) {
        try {
          read(body)
        } catch (e) {
          assert.ok(VeritError.is(e) && e.status === 400)
        }
      }
    })
  )
})

test(
  'of a body of very many parts only the field is named, for the search for the part would keep everybody else ' +
    'waiting',
  () => {
    const many = (item: unknown): unknown[] => Array.from({ length: 5000 }, () => item)
    for (const prompt of [many({}), many(1.5), many([{}])])
      assert.throws(() => readCompletion({ prompt }), field('prompt', /must be a text/))
    assert.throws(() => readCompletion({ prompt: 'a', stop: many('x') }), field('stop', /at most 8/))
    assert.throws(() => readCompletion({ stop: 'x', seed: 1.5, logprobs: many(1) }), field('seed'))
    const parts = { role: 'user', content: many({ type: 'text', text: '' }) }
    assert.throws(() => readChat({ messages: [parts] }), field('messages[0].content', /at most 256 parts/))
  }
)

/** Fields of an interface of the openai client's types. */
function openaiFields(file: string, name: string): string[] {
  const types = readFileSync(new URL(`../../node_modules/openai/resources/${file}.d.ts`, import.meta.url), 'utf8')
  const body = new RegExp(`export interface ${name} \\{(.*?)^\\}`, 'ms').exec(types)![1]!
  return [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(m => m[1]!)
}
const namesOf = ({ honoured, neutral = {}, refused = {} }: Dialect): string[] =>
  [honoured, neutral, refused].flatMap(Object.keys)

test('each table has every field of the openai client in one of its classes, and no field in two', () => {
  const chat = 'chat/completions/completions'
  const roles = ['System', 'Developer', 'User', 'Assistant', 'Tool', 'Function']
  const kinds: [Dialect, string[]][] = [
    [chatDialect, openaiFields(chat, 'ChatCompletionCreateParamsBase')],
    [completionsDialect, openaiFields('completions', 'CompletionCreateParamsBase')],
    [messageFields, roles.flatMap(role => openaiFields(chat, `ChatCompletion${role}MessageParam`))],
    [messageFields, openaiFields(chat, 'ChatCompletionMessage')],
    [partFields, openaiFields(chat, 'ChatCompletionContentPartText')]
  ]
  for (const [dialect, fields] of kinds) {
    const names = namesOf(dialect)
    assert.ok(fields.length >= 3)
    assert.deepEqual(
      fields.filter(name => !names.includes(name)),
      []
    )
    assert.equal(new Set(names).size, names.length)
  }
})

test('fields that change nothing here are accepted wherever clients put them, and named for the log', () => {
  const reading = newReading()
  const mark = { type: 'ephemeral', ttl: '5m' }
  readChat(
    {
      cache_prompt: true,
      keep_alive: '5m',
      chat_template_kwargs: { enable_thinking: false },
      store: true,
      user: 'u',
      tools: [{ type: 'function' }],
      tool_choice: 'none',
      reasoning_effort: 'low',
      metadata: { a: 'b' },
      temperature: null,
      messages: [
        {
          role: 'user',
          id: 1,
          content: [{ type: 'text', text: 'a', cache_control: mark, prompt_cache_breakpoint: {} }]
        },
        { role: 'assistant', content: 'b', reasoning_content: 'hm', refusal: null, tool_calls: [], annotations: [] },
        { role: 'user', content: 'c', name: 'n', id: 'x' }
      ]
    },
    reading
  )
  assert.deepEqual(reading.ignored.names, [
    'cache_prompt',
    'keep_alive',
    'chat_template_kwargs',
    'store',
    'user',
    'tools',
    'tool_choice',
    'reasoning_effort',
    'metadata',
    'messages[].id',
    'messages[].content[].cache_control',
    'messages[].content[].prompt_cache_breakpoint',
    'messages[].reasoning_content',
    'messages[].tool_calls',
    'messages[].annotations',
    'messages[].name'
  ])
})

test('fields of gateways and interfaces are accepted in the forms that these send', () => {
  const uuid = '5b0b9f1e-6c1f-4b3e-8f6b-0d6f0a1f2b3c'
  const bodies: Record<string, unknown>[] = [
    {
      // Open WebUI
      chat_id: uuid,
      session_id: uuid,
      id: uuid,
      message_id: uuid,
      files: [],
      tool_ids: [],
      tool_servers: [],
      features: { image_generation: false, code_interpreter: false, web_search: false, memory: null },
      variables: { '{{USER_NAME}}': 'Ann', '{{CURRENT_DATETIME}}': '2025-01-01 10:00:00' },
      model_item: { id: 'verit', object: 'model', tags: [], info: { meta: { capabilities: { vision: false } } } },
      background_tasks: { title_generation: true, tags_generation: true, follow_up_generation: true }
    },
    {
      // OpenRouter
      provider: { order: ['a', 'b'], allow_fallbacks: true, max_price: { prompt: 1, completion: 2 }, only: null }
    },
    { litellm_metadata: { user: 'u', tags: ['a'], spend: { a: 1 } }, litellm_session_id: 's', drop_params: true },
    { num_ctx: 4096, options: { num_ctx: 4096, num_gpu: 0, use_mmap: true } },
    { top_logprobs: 0 },
    { top_logprobs: 0, logprobs: false }
  ]
  for (const body of bodies) {
    const reading = newReading()
    const { sampling } = readChat({ messages, ...body }, reading)
    assert.deepEqual(sampling, {})
    const neutral = Object.keys(body).filter(name => !['logprobs', 'top_logprobs'].includes(name))
    assert.deepEqual(reading.ignored.names, neutral)
  }
  readChat({ messages: [{ role: 'user', content: 'x', attachments: [], files: [] }] })
})

test('the same fields are refused by name where they would change the answer, or are too large', () => {
  const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ files: [{ id: 'a' }] }, /is not supported\. .*no files/],
    [{ tool_ids: ['a'] }, /is not supported\. .*no tools/],
    [{ features: { web_search: true } }, /is not supported\. .*no tools/],
    [{ options: { num_ctx: 1, temperature: 0 } }, /is not supported\. .*top of the request/],
    [{ top_logprobs: 1 }, /is only for log probabilities/],
    [{ provider: { order: deep(5) } }, /5 levels deep/],
    [{ provider: { order: ['x'.repeat(4097)] } }, /4,096 characters/],
    [{ variables: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`a${i}`, 1])) }, /at most 64 values/],
    [{ litellm_metadata: { tags: Array.from({ length: 65 }, () => 'a') } }, /at most 64 values/],
    [{ chat_id: 'x'.repeat(513) }, /at most 512/]
  ]
  for (const [body, words] of wrong) {
    assert.throws(
      () => readChat({ messages, ...body }),
      field(Object.keys(body)[0]!, words),
      JSON.stringify(body).slice(0, 60)
    )
  }
  const attached = { role: 'user', content: 'x', attachments: [{}] }
  assert.throws(() => readChat({ messages: [attached] }), field('messages[0].attachments', /no files/))
})

test('fields that change nothing are bounded', () => {
  const long = 'x'.repeat(513)
  const wrong = [
    { user: long },
    { user: ['u'] },
    { safety_identifier: {} },
    { prompt_cache_key: long },
    { store: 'yes' },
    { keep_alive: [] },
    { cache_control: { a: { b: 1 } } },
    { metadata: [] },
    { metadata: { a: 1 } },
    { metadata: { a: long } },
    { metadata: { [long]: 'a' } },
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`a${i}`, 'b'])) }
  ]
  for (const body of wrong) {
    const [name] = Object.keys(body)
    assert.throws(() => readChat({ messages, ...body }), field(name!, /must be /), JSON.stringify(body).slice(0, 60))
  }
  assert.throws(() => readChat({ messages: [{ role: 'user', content: 'x', name: long }] }), field('messages[0].name'))
  readChat({ messages, user: 'x'.repeat(512), metadata: { ['k'.repeat(64)]: 'v'.repeat(512) } })
})

test('the first message that the model cannot be given is named, with its field and what to do', () => {
  const user = { role: 'user', content: 'Weather?' }
  const call = { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{}' } }
  const result = { role: 'tool', tool_call_id: 'c1', content: 'Sunny' }
  const cases: [unknown[], string, RegExp][] = [
    [
      [user, { role: 'assistant', content: null, tool_calls: [call] }, result],
      'messages[1].tool_calls',
      /is not supported\. .*no tools.*messages of role "tool"/
    ],
    [[user, result], 'messages[1].role', /is "tool", which is not supported\. .*no tools/],
    [[user, { ...result, role: 'function' }], 'messages[1].role', /is "function", which is not supported/],
    [
      [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'image_url', image_url: {} }
          ]
        }
      ],
      'messages[0].content[1].type',
      /is "image_url", which is not supported\. .*"text"/
    ],
    [[{ role: 'user', content: [{ type: 'input_audio' }] }], 'messages[0].content[0].type', /"input_audio"/],
    [[user, { role: 'assistant', content: null, refusal: 'no' }], 'messages[1].refusal', /as the content/],
    [[user, { role: 'assistant' }], 'messages[1].content', /is required: a text, or a list/],
    [[{ role: 'user', content: null }], 'messages[0].content', /is null; it must be a text, or a list/],
    [[{ role: 'system', content: null }], 'messages[0].content', /is null; it must be a text/],
    [
      [{ role: 'user', content: [{ type: 'text', text: null }] }],
      'messages[0].content[0].text',
      /is null; it must be a text/
    ],
    [[{ role: 'user', content: 5 }], 'messages[0].content', /must be a text/],
    [[{ role: 'user', content: 'a', foo: 1 }], '"messages[0].foo"', /is not a field/],
    [[{ role: 'root', content: 'a' }], 'messages[0].role', /must be "system"/],
    [['a'], 'messages[0]', /must be an object/],
    [[{ role: 'user', content: ['a'] }], 'messages[0].content[0]', /must be an object/],
    [[{ role: 'user', content: [{ type: 'text' }] }], 'messages[0].content[0].text', /is required/]
  ]
  for (const [list, name, words] of cases) assert.throws(() => readChat({ messages: list }), field(name, words), name)
})

test('an answer without text, which clients send back as null, is an empty text', () => {
  const user = { role: 'user', content: 'x' }
  const extras = [
    {},
    { tool_calls: [] },
    { tool_calls: null },
    { function_call: null },
    { refusal: null },
    { audio: null }
  ]
  for (const extra of extras) {
    const { prompt } = readChat({ messages: [user, { role: 'assistant', content: null, ...extra }, user] })
    assert.deepEqual(prompt, { messages: [user, { role: 'assistant', content: '' }, user] })
  }
})

test('a field that is there but null is never called missing', () => {
  assert.throws(() => readChat({ messages: null }), field('messages', /is null; it must be a list of messages/))
  assert.throws(() => readCompletion({ prompt: null }), field('prompt', /is null; it must be /))
})

test('an unknown name is refused with the one that was probably meant, or ignored where the operator says so', () => {
  assert.throws(() => readChat({ messages, temprature: 1 }), field('"temprature"', /Did you mean temperature\?/))
  const reading = newReading('ignore')
  const withNames = [{ role: 'user', content: 'x', foo: { bar: 1 } }]
  const call = readChat({ messages: withNames, 'top\u202e\n': 1, temprature: 1, ['y'.repeat(500)]: 1 }, reading)
  assert.deepEqual(call.prompt, { messages: [{ role: 'user', content: 'x' }] })
  const long = `${'y'.repeat(40)}… (500 characters)`
  assert.deepEqual([...reading.ignored.unknown], ['top\\u{202e}\\n', 'temprature', long, 'messages[].foo'])
  assert.throws(() => readChat({ messages, n: 2 }, newReading('ignore')), field('n'), 'refused fields stay refused')
  const many = newReading('ignore')
  readChat({ messages, ...Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`x${i}`, i])) }, many)
  assert.equal(many.ignored.names.length, 32)
})

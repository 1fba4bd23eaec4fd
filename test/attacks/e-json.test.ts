/**
 * Class E: attacks on the reading of JSON and on the numbers in it. Each is 400 in a sentence that names what is wrong,
 * or is answered as written; none is 5xx.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { commonFields } from '../../src/server/request-body.ts'
import { killServers } from '../served.ts'
import { Target, codeOf, each } from './target.ts'

let t: Target
before(async () => {
  t = await Target.start()
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await t.stop()
})
afterEach(() => t.survives())

const JSON_TYPE = { 'content-type': 'application/json' }
const send = (body: string | Uint8Array<ArrayBuffer>, path = '/v1/completions', method = 'POST'): Promise<Response> =>
  t.fetch(path, { method, body, headers: JSON_TYPE })
/** A chat up to a field that may hold anything. */
const CHAT_WITH_METADATA = '{"max_tokens":1,"messages":[{"role":"user","content":"x","metadata":'
const withField = (text: string): string => `{"prompt":"x","max_tokens":1,${text}}`
/** Sends bodies and wants that code for each. */
const allRefused = (bodies: readonly (string | Uint8Array<ArrayBuffer>)[], code: string, status = 400): Promise<void> =>
  each(bodies, async body => {
    const response = await send(body)
    assert.deepEqual(
      [response.status, await codeOf(response)],
      [status, code],
      Buffer.from(body).toString('utf8').slice(0, 100)
    )
  })

test('E1 nesting is refused beyond its limit, however deep, before anything is built', async () => {
  const nested = (open: string, close: string, depth: number): string =>
    `${CHAT_WITH_METADATA}${open.repeat(depth)}1${close.repeat(depth)}}]}`
  const before = t.memory()
  assert.equal((await send(nested('[', ']', 13), '/v1/chat/completions')).status, 200) // 16 with what it stands in
  await allRefused(
    [
      nested('[', ']', 14),
      nested('{"a":', '}', 14),
      nested('[', ']', 100_000),
      nested('{"a":', '}', 100_000),
      '['.repeat(1 << 20),
      '{"a":'.repeat(200_000),
      ']'.repeat(100_000)
    ],
    'VERIT_JSON'
  )
  assert.ok(t.memory() - before < 150)
})

test('E2 a name twice in an object is refused, also when it is written with escapes, at any depth', async () => {
  await allRefused(
    [
      '{"prompt":"x","prompt":"y"}',
      '{"prompt":"x","max_tokens":1,"max_tokens":2}',
      '{"prompt":"x","pro\\u006dpt":"y"}',
      '{"prompt":"x","user":{"a":1,"a":1}}',
      '{"prompt":"x","user":[[{"b":{"a":1,"\\u0061":1}}]]}',
      '{"":1,"":2}'
    ],
    'VERIT_JSON'
  )
})

test('E3 names that reach into JavaScript objects are refused or unknown, and nothing is polluted', async () => {
  await allRefused(
    [
      withField('"__proto__":{"admin":true}'),
      withField('"constructor":{"prototype":{"admin":true}}'),
      withField('"prototype":1'),
      withField('"user":{"__proto__":1}'),
      withField('"__pro\\u0074o__":1'),
      withField('"stream_options":{"constructor":{}}')
    ],
    'VERIT_JSON'
  )
  await allRefused(
    [
      withField('"toString":1'),
      withField('"hasOwnProperty":true'),
      withField('"__defineGetter__":1'),
      withField('"valueOf":{}')
    ],
    'VERIT_REQUEST'
  )
  assert.equal((await send(withField('"user":"__proto__"'))).status, 200)
})

test('E4 numbers out of range, and NaN, are refused; other spellings of a number count by their value', async () => {
  const numbers = [
    '1e999',
    '-1e999',
    '9007199254740992',
    '9007199254740993',
    '18446744073709551616',
    `1${'0'.repeat(400)}`,
    '1.5',
    '-1',
    '-0.5',
    '1e-400',
    '0.1'
  ]
  await each(numbers, async n => {
    const response = await send(withField(`"seed":${n}`))
    assert.equal(response.status, n === '1e-400' ? 200 : 400, n)
  })
  await allRefused(
    [
      'NaN',
      'Infinity',
      '-Infinity',
      '+1',
      '01',
      '.5',
      '1.',
      '0x10',
      '1_000',
      '1e',
      '--1',
      'undefined',
      "'1'",
      '1n'
    ].map(n => withField(`"seed":${n}`)),
    'VERIT_JSON'
  )
  const texts = await Promise.all(
    ['0', '-0', '0.0', '0e5'].map(
      async n =>
        ((await (await send(withField(`"seed":${n}`))).json()) as { choices: { text: string }[] }).choices[0]!.text
    )
  )
  assert.equal(new Set(texts).size, 1)
})

test('E5 invalid UTF-8, a byte order mark, NUL and lone surrogates are refused or kept as they are', async () => {
  const raw = (...bytes: number[]): Uint8Array<ArrayBuffer> =>
    Uint8Array.from([...Buffer.from('{"max_tokens":1,"prompt":"'), ...bytes, ...Buffer.from('"}')])
  await allRefused(
    [
      raw(0xc0, 0xaf),
      raw(0xe0, 0x80, 0xaf),
      raw(0xed, 0xa0, 0x80),
      raw(0xf4, 0x90, 0x80, 0x80),
      raw(0xff),
      raw(0x80),
      raw(0xc3),
      raw(0xfe, 0xff)
    ],
    'VERIT_CONTENT_TYPE',
    415
  )
  await allRefused(
    [
      Uint8Array.from(Buffer.from('{"prompt":"x"}', 'utf16le')),
      `\ufeff${withField('"seed":1')}`,
      raw(0),
      raw(0x0a),
      raw(0x1f),
      '{"prompt":"x"}\u0000',
      '{"prompt":"x"} {}',
      '{"prompt":"x"}x',
      '',
      ' ',
      'null',
      '"x"',
      '[]',
      '1'
    ],
    'VERIT_JSON'
  )
  for (const text of ['\\u0000', '\\ud800', '\\udc00\\ud800', '\\u202e', '\\uffff', '\u{1f600}']) {
    const response = await send(`{"prompt":"${text}","max_tokens":1}`)
    assert.ok(response.status === 200 || response.status === 400, `${text}: ${response.status}`)
    assert.ok((await response.text()).isWellFormed())
  }
})

test("E6 a value of another type than the field's is refused by the field's name, never converted", async () => {
  const wrong: Record<string, string[]> = {
    max_tokens: ['"1"', 'true', '[1]', '{}', '""'],
    temperature: ['"0.5"', 'false', '[]', '{"valueOf":1}'],
    stream: ['"true"', '1', '0', '[]', '"false"'],
    stop: ['1', '{}', '[1]', '[[]]', 'true', '[null]'],
    model: ['1', '[]', 'true', '{}'],
    echo: ['1', '"no"'],
    seed: ['"5"', '[5]'],
    stream_options: ['[]', '1', '"x"', 'true'],
    logprobs: ['true', '"1"']
  }
  await each(
    Object.entries(wrong).flatMap(([name, values]) => values.map(value => ({ name, value }))),
    async ({ name, value }) => {
      const base = name === 'max_tokens' ? '{"prompt":"x"' : '{"prompt":"x","max_tokens":1'
      const response = await send(`${base},"${name}":${value}}`)
      const { error } = (await response.json()) as { error?: { param: string } }
      assert.deepEqual([response.status, error?.param], [400, name], `${name}: ${value}`)
    }
  )
  await each(
    ['1', 'true', '{}', '[true]', '[[1],[2]]', '[1,"a"]', '["a",1]', '[[["a"]]]', '[null]', '{"length":1}'],
    async prompt => {
      assert.equal((await send(`{"prompt":${prompt},"max_tokens":1}`)).status, 400, prompt)
    }
  )
  await each(
    [
      '{}',
      '"x"',
      '[]',
      '[1]',
      '[[]]',
      '[{}]',
      '[{"role":"user"}]',
      '[{"role":"root","content":"x"}]',
      '[{"role":"user","content":1}]',
      '[{"role":["user"],"content":"x"}]',
      '[{"role":"user","content":[{"type":"image_url","text":"x"}]}]',
      '[{"role":"user","content":{"toString":"x"}}]'
    ],
    async messages => {
      assert.equal(
        (await send(`{"messages":${messages},"max_tokens":1}`, '/v1/chat/completions')).status,
        400,
        messages
      )
    }
  )
})

test('E7 names like array indices, whose hashes collide, are bounded in number', async () => {
  // Strings that V8 hashes alike: indices that differ by a multiple of its table (CVE-2026-21717)
  const indices = Array.from({ length: 60_000 }, (_, i) => i * 16_384)
  const object = (n: number, of: (i: number) => string): string =>
    `{${Array.from({ length: n }, (_, i) => `"${of(i)}":0`).join()}}`
  await allRefused(
    [
      withField(`"user":${object(60_000, i => String(indices[i]))}`),
      withField(`"user":${object(257, i => `a${i}`)}`),
      withField(`"metadata":[${indices.map(i => `"${i}"`).join()}]`),
      withField(`"user":[${Array.from({ length: 40_000 }, () => '{"a":0}').join()}]`)
    ],
    'VERIT_JSON'
  )
  const most = `${CHAT_WITH_METADATA}${object(256, i => `a${i}`)}}]}`
  assert.equal((await send(most, '/v1/chat/completions')).status, 200)
})

/**
 * Fields with a range, of both kinds of completion, from the schema that the server itself uses: a new field is
 * attacked without a word here.
 */
const ranged = Object.entries(
  commonFields as unknown as Record<string, { type?: string; minimum?: number; maximum?: number }>
)
  .filter(([, f]) => f.minimum !== undefined)
  .map(([name, { type, minimum, maximum }]) => ({
    name,
    integer: type === 'integer',
    minimum: minimum!,
    maximum: maximum!
  }))

test(
  'E8 every number is accepted at both ends of its range and refused beyond them, in both kinds of ' + 'completion',
  async () => {
    assert.ok(ranged.length >= 9)
    const cases = [...ranged, { name: 'logprobs', integer: true, minimum: 0, maximum: 20 }].flatMap(field => {
      const { integer, minimum, maximum } = field
      const step = integer ? 1 : 1e-9
      const bad = [
        minimum - step,
        maximum + step,
        -1e9,
        -2147483649,
        1e15,
        1e308,
        -1e308,
        2 ** 63,
        2 ** 64,
        ...(integer ? [minimum + 0.5, 1e-9] : [])
      ].filter(v => v < minimum || v > maximum || (integer && !Number.isInteger(v)))
      return [
        ...[minimum, maximum].map(value => ({ field, value, status: 200 })),
        ...bad.map(value => ({ field, value, status: 400 }))
      ]
    })
    const body = ({ name }: { name: string }, value: number): object => ({ max_tokens: 1, [name]: value })
    await each(
      cases,
      async ({ field, value, status }) => {
        const response = await t.complete(body(field, value))
        const { error } = (await response.json()) as { error?: { param: string } }
        assert.deepEqual(
          [response.status, error?.param],
          [status, status === 200 ? undefined : field.name],
          `${field.name}: ${value}`
        )
        if (field.name === 'logprobs') return
        const chat = await t.fetch('/v1/chat/completions', {
          method: 'POST',
          body: JSON.stringify({ messages: [{ role: 'user', content: 'x' }], ...body(field, value) })
        })
        assert.equal(chat.status, status, `chat, ${field.name}: ${value}`)
        await chat.arrayBuffer()
      },
      8
    )
  }
)

test('E8 lists and texts are accepted at their longest and refused beyond it', async () => {
  const edges: [object, object, string][] = [
    [{ stop: 'y'.repeat(256) }, { stop: 'y'.repeat(257) }, 'stop'],
    [
      { stop: Array.from({ length: 8 }, (_, i) => `stop ${i}`) },
      { stop: Array.from({ length: 9 }, (_, i) => `stop ${i}`) },
      'stop'
    ],
    [{ stop: 'y' }, { stop: '' }, 'stop'],
    [{ n: 1 }, { n: 2 }, 'n'],
    [{ n: 1 }, { n: -1 }, 'n'],
    [{ n: 1 }, { n: 16_384 }, 'n'],
    [{ best_of: 1 }, { best_of: 1e9 }, 'best_of'],
    [
      { logit_bias: {} },
      { logit_bias: Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`t${i}`, 100])) },
      'logit_bias'
    ],
    [{}, { n_discard: -1 }, 'n_discard'],
    [{}, { n_predict: 5 }, 'n_predict'],
    [{ prompt: [1, 2] }, { prompt: [257] }, ''],
    [{ prompt: [0] }, { prompt: [-1] }, 'prompt'],
    [{ prompt: [1] }, { prompt: [2 ** 31] }, 'prompt'],
    [{ prompt: [1] }, { prompt: [1.5] }, 'prompt']
  ]
  for (const [good, bad, param] of edges) {
    const [yes, no] = [await t.complete(good), await t.complete(bad)]
    assert.deepEqual([yes.status, no.status], [200, 400], JSON.stringify(bad).slice(0, 80))
    if (param !== '') assert.equal(((await no.json()) as { error: { param: string } }).error.param, param)
  }
  const messages = (n: number): Promise<Response> =>
    t.fetch('/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({
        max_tokens: 1,
        messages: Array.from({ length: n }, () => ({ role: 'user', content: '' }))
      })
    })
  assert.equal((await messages(1025)).status, 400)
  assert.notEqual(await codeOf(await messages(1024)), 'VERIT_REQUEST')
})

test('E8 the numbers of the admin routes, too, are refused beyond their ranges, and change nothing then', async () => {
  const { record } = await t.key()
  const path = `/v1/admin/keys/${record.id}`
  for (const name of [
    'requests_per_minute',
    'tokens_per_minute',
    'streams',
    'tokens_per_day',
    'tokens_per_month',
    'prompt_tokens',
    'output_tokens'
  ]) {
    for (const [value, status] of [
      [1, 200],
      [Number.MAX_SAFE_INTEGER, 200],
      [0, 400],
      [-1, 400],
      [1.5, 400],
      [2 ** 53, 400],
      [1e308, 400],
      ['1', 400]
    ] as const) {
      assert.equal(
        (await send(JSON.stringify({ limits: { [name]: value } }), path, 'PATCH')).status,
        status,
        `${name}: ${value}`
      )
    }
  }
  for (const [value, status] of [
    [-1, 400],
    [1.5, 400],
    [366 * 86_400 + 1, 400],
    [366 * 86_400, 200],
    [0, 200]
  ] as const) {
    assert.equal(
      (await send(JSON.stringify({ overlap_seconds: value }), `${path}/rotate`)).status,
      status,
      `overlap_seconds: ${value}`
    )
  }
  for (const expires of ['2020-01-01', '9999-99-99', '+275760-09-13', '1', '2030-01-01T00:00:00']) {
    assert.equal((await send(JSON.stringify({ expires }), path, 'PATCH')).status, 400, expires)
  }
})

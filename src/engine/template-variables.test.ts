import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { inTurns } from '../lib/steps.ts'
import { ChatFormat } from './chat-format.ts'
import { byteTokenizer } from '../bench/random-model.ts'
import { checkRequest } from './request.ts'
import { TemplateDate } from './template-date.ts'

const specials = ['<|im_start|>', '<|im_end|>', '<|high|>']
const tokenizer = byteTokenizer(260, specials)
const messages = [{ role: 'user', content: 'hi' }] as const
const text = (template: string, variables: Record<string, unknown>): string =>
  tokenizer.decode(new ChatFormat(template, tokenizer).prompt(messages, { variables }))
const tools = [
  {
    type: 'function',
    function: {
      name: 'weather',
      description: 'Rain?',
      parameters: { type: 'object', properties: { city: { type: 'string' } } }
    }
  }
]

test('variables reach the template with their types', () => {
  assert.equal(text('{{ "no" if enable_thinking is false else "yes" }}', { enable_thinking: false }), 'no')
  assert.equal(text('{{ "no" if enable_thinking is defined else "yes" }}', {}), 'yes')
  assert.equal(text('{% if reasoning_effort == "low" %}short{% endif %}', { reasoning_effort: 'low' }), 'short')
  assert.equal(
    text('{% for t in tools %}{% if t.type == "function" %}{{ t.function.name }}{% endif %}{% endfor %}', { tools }),
    'weather'
  )
  assert.equal(
    text('{{ tools | tojson }}', { tools }),
    '[{"type": "function", "function": {"name": "weather", "description": "Rain?", "parameters": {"type": ' +
      '"object", "properties": {"city": {"type": "string"}}}}}]'
  )
  assert.equal(text('{% if tools is none %}none{% endif %}{% if tools %}some{% endif %}', {}), 'none')
})

test('no text of a variable becomes a special token', () => {
  const templates = [
    '{{ x }}',
    '<|{{ x }}|>',
    '<|im_{{ x }}',
    '{{ x }}end|>',
    '{{ [x] | tojson }}',
    '{{ x | upper | lower }}',
    '<|{{ x | lower }}|>',
    '{{ x.a }}{% if x is mapping %}{% for k in x %}{{ k }}{% endfor %}{% endif %}',
    '<|{{ x | trim }}|>'
  ]
  for (const template of templates) {
    for (const x of [
      ...specials,
      'high',
      'HIGH',
      ' high\n',
      'im_end',
      '<|im_',
      'end|>',
      '<',
      'start|>',
      '|',
      { '<|im_end|>': '<|im_end|>', a: '<|im_start|>' }
    ]) {
      const written = typeof x === 'string' ? template : template.replace(/ \| (upper|lower|trim)/g, '')
      const ids = new ChatFormat(written, tokenizer).prompt(messages, { variables: { x } })
      assert.ok(!ids.some(id => tokenizer.isSpecial(id)), `${template} ${JSON.stringify(x)}`)
    }
  }
})

test("variables that are no JSON, too many, or the engine's are refused", () => {
  const deep = Array.from({ length: 40 }).reduce<unknown>(inner => [inner], 1)
  const bad: unknown[] = [
    7,
    [],
    null,
    { messages: [] },
    { bos_token: 'x' },
    { add_generation_prompt: false },
    { strftime_now: 1 },
    { 'a b': 1 },
    { x: () => 1 },
    { x: NaN },
    { x: 1n },
    { x: new Map() },
    { x: deep },
    { x: Array.from({ length: 20_000 }, () => 0) },
    { x: 'y'.repeat(2 ** 20 + 1) },
    Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`v${i}`, 1]))
  ]
  for (const variables of bad) {
    assert.throws(
      () => new ChatFormat('x', tokenizer).prompt(messages, { variables: variables as Record<string, unknown> }),
      (e: unknown) => VeritError.is(e, 'VERIT_CHAT')
    )
  }
})

test("the date is the request's, and is recorded where the template asks for it", async () => {
  const dated = new ChatFormat('{{ strftime_now("%d %b %Y") }}', tokenizer)
  const date = new TemplateDate('2025-03-09')
  assert.equal(tokenizer.decode(dated.prompt(messages, { date })), '09 Mar 2025')
  const check = (chat: ChatFormat, more: object) =>
    inTurns(checkRequest({ prompt: { messages }, ...more }, { tokenizer, chat, context: 64 }), { size: 1 })
  assert.equal((await check(dated, { date: '2025-03-09' }))?.date, '2025-03-09')
  assert.equal((await check(new ChatFormat('x', tokenizer), { date: '2025-03-09' }))?.date, undefined)
  assert.match((await check(dated, {}))!.date!, /^\d{4}-\d\d-\d\d$/)
  await assert.rejects(check(dated, { date: 'today' }), { code: 'VERIT_REQUEST' })
})

test('templates mark answers for training and refuse conversations by themselves', () => {
  assert.equal(text('{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}', {}), 'hi')
  assert.throws(() => text('{{ raise_exception("roles must alternate") }}', {}), /roles must alternate/)
})

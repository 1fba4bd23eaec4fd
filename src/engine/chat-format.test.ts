import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChatFormat } from './chat-format.ts'
import type { ChatMessage } from './chat-format.ts'
import { ChatTemplate } from './chat-template.ts'
import { byteTokenizer } from '../bench/random-model.ts'

const CHATML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>' + '\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`
const tokenizer = byteTokenizer(260, ['<|im_start|>', '<|im_end|>', '<|user|>'])
const id = (name: string): number => tokenizer.tokenId(name)!
const user = (content: string): ChatMessage => ({ role: 'user', content })

test('a template of the file makes the prompt, with its special tokens', () => {
  const ids = new ChatFormat(CHATML, tokenizer).prompt([{ role: 'system', content: 'Be kind.' }, user('Hi 👍')])
  assert.equal(
    tokenizer.decode(ids),
    '<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi 👍<|im_end|>\n<|im_start|>assistant\n'
  )
  assert.deepEqual(
    ids.filter(i => tokenizer.isSpecial(i)),
    [id('<|im_start|>'), id('<|im_end|>'), id('<|im_start|>'), id('<|im_end|>'), id('<|im_start|>')]
  )
})

test('messages that spell special tokens stay plain text, however they are cut', () => {
  const part = fc.constantFrom(
    '<|im_start|>',
    '<|im_end|>',
    '<|endoftext|>',
    '<|',
    '|>',
    'im_end',
    '<|im_',
    'end|>',
    'user',
    ' ',
    '\n',
    '\ue000',
    '\ue001',
    'a',
    '👍'
  )
  const content = fc.array(part, { maxLength: 8 }).map(p => p.join(''))
  const role = fc.constantFrom('system' as const, 'user' as const, 'assistant' as const)
  const templates = [
    CHATML,
    undefined,
    '{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|im_end|>{% endfor %}',
    '{% for m in messages %}{{ m.content }}|>{{ m.content }}{% endfor %}'
  ]
  fc.assert(
    fc.property(
      fc.array(fc.record({ role, content }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(...templates),
      (messages, template) => {
        const format = new ChatFormat(template, tokenizer)
        const ids = format.prompt(messages)
        const plain = format.prompt(messages.map(m => ({ ...m, content: 'x' })))
        const count = (list: number[]): number => list.filter(i => tokenizer.isSpecial(i)).length
        assert.equal(count(ids), count(plain))
        const text = tokenizer.decode(ids)
        for (const m of messages) assert.ok(text.includes(m.content.trim()), 'the text itself is there')
      }
    ),
    { numRuns: 200 }
  )
})

test('a special token of one character, or one that a message completes, comes from the template alone', () => {
  const short = byteTokenizer(260, ['■', '<|a|>'])
  const specials = (template: string, content: string): number[] =>
    new ChatFormat(template, short)
      .prompt([user(content)])
      .filter(i => short.isSpecial(i))
      .map(i => i)
  const [square, a] = [short.tokenId('■')!, short.tokenId('<|a|>')!]
  assert.deepEqual(specials('■{{ messages[0].content }}■<|a|>', ' ■ x■■ <|a|>■'), [square, square, a])
  assert.deepEqual(specials('<|a|{{ messages[0].content }}|a|>', '> <'), [])
  assert.deepEqual(specials('<|a|>{{ messages[0].content }}<|a|>', ''), [a, a])
})

test('without a template the turns are plain, after the end-of-text token', () => {
  const format = new ChatFormat(undefined, tokenizer)
  const ids = format.prompt([
    { role: 'system', content: 'Talk.' },
    user(' Hello '),
    { role: 'assistant', content: 'Yes.' },
    user('Go on')
  ])
  assert.equal(tokenizer.decode(ids), '<|endoftext|>Talk.\n\nUser: Hello\nAssistant: Yes.\nUser: Go on\nAssistant:')
  assert.equal(ids[0], tokenizer.endOfText)
  assert.deepEqual(format.stop, ['\nUser:', '\nAssistant:'])
})

test('a template that is broken, hostile or endless gives one clear error', () => {
  const bad = [
    '{% for m in',
    '{{ nothing() }}',
    "{{ raise_exception('Roles must alternate') }}",
    '{% for i in range(100000000) %}x{% endfor %}',
    `{% set ns = namespace(x='aaaaaaaa') %}${'{% set ns.x = ns.x ~ ns.x %}'.repeat(24)}{{ ns.x }}`,
    'x'.repeat(70000),
    '{{ '.repeat(8000),
    '('.repeat(9) + '{{ ' + '('.repeat(30000),
    '{{ strftime_now("%Q") }}',
    '{{ messages.constructor.constructor("return process")() }}'
  ]
  for (const template of bad) {
    assert.throws(
      () => new ChatFormat(template, tokenizer).prompt([user('hi')]),
      { code: 'VERIT_CHAT' },
      template.slice(0, 60)
    )
  }
  const loop = '{% for a in range(4000) %}'.repeat(4) + '{% endfor %}'.repeat(4)
  assert.throws(() => new ChatTemplate(loop, 50).render({}), /longer than 50 ms/)
})

test('messages of the wrong kind, number or size are refused', () => {
  const format = new ChatFormat(undefined, tokenizer)
  const bad: unknown[] = [
    [],
    'hi',
    null,
    [null],
    [{}],
    [{ role: 'tool', content: 'x' }],
    [{ role: 'user' }],
    [{ role: 'user', content: 5 }],
    [{ role: 'user', content: ['x'] }],
    Array(1025).fill(user('x')),
    [user('x'.repeat(1 << 20)), user('x')]
  ]
  for (const messages of bad) assert.throws(() => format.prompt(messages as ChatMessage[]), { code: 'VERIT_CHAT' })
})

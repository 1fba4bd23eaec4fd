import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { GgufMetadata } from '../formats/gguf-metadata.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { byteSpelling } from '../tokenizer/bytes.ts'
import { CONTROL, NORMAL, USER_DEFINED } from '../tokenizer/parts.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { joinClaims, noClaims, resolveConversation } from './conversation.ts'
import type { Conversation, ConversationClaims, ConversationOverrides } from './conversation.ts'
import { endTexts } from './end-tokens.ts'
import { conversationEntries, ggufClaims, replaceEntries } from './gguf-conversation.ts'
import { readTokenizer, tokenizerEntries } from './gguf-tokenizer.ts'
import { folderClaims } from './hf-conversation.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-conversation-'))
after(() => rmSync(dir, { recursive: true }))

/** A vocabulary of bytes and these tokens after them, from id 256 on. */
function vocabulary(tokens: readonly string[], type = CONTROL, more: object = {}): Tokenizer {
  const all = [...byteSpelling, ...tokens]
  return Tokenizer.fromParts({
    tokens: all,
    tokenTypes: all.map((_, id) => (id < 256 ? NORMAL : type)),
    merges: [],
    pretokenizer: 'gpt-2',
    ...more
  })
}
type Entries = readonly (readonly [string, GgufValue])[]
function ofGguf(tokenizer: Tokenizer, entries: Entries, overrides: ConversationOverrides = {}): Conversation {
  const metadata = new GgufMetadata(
    'x.gguf',
    new Map(
      replaceEntries(
        tokenizerEntries(tokenizer).filter(([key]) => !/_token_id|add_bos/.test(key)),
        entries
      )
    ),
    new Map()
  )
  const read = readTokenizer('x.gguf', metadata)
  return resolveConversation(ggufClaims(metadata, read), read, overrides)
}
const id = (role: string, value: number): readonly [string, GgufValue] => [
  `tokenizer.ggml.${role}_token_id`,
  gguf.u32(value)
]
const ends = (c: Conversation): [number, string][] => c.ends.map(t => [t.id, t.source])

test('every name that ends texts counts where it is a special token, with a key or without', () => {
  for (const text of endTexts) {
    assert.deepEqual(
      ends(ofGguf(vocabulary(['<s>', text]), [])).map(([n]) => n),
      [257],
      text
    )
    assert.deepEqual(
      ends(ofGguf(vocabulary(['<s>', text], USER_DEFINED), [])).map(([n]) => n),
      [257],
      `${text}, user-defined`
    )
    if (/^[\x21-\x7e]+$/.test(text))
      assert.equal(
        ends(ofGguf(vocabulary(['<s>', text], NORMAL), [])).length,
        text.startsWith('<|') ? 1 : 0,
        `${text}, normal`
      )
  }
  const key = 'tokenizer.ggml.eos_token_id'
  assert.deepEqual(ends(ofGguf(vocabulary(['<|end_of_text|>', '<|eot_id|>']), [id('eos', 256)])), [
    [256, key],
    [257, 'its name']
  ])
  // Families that use a name for something else.
  assert.deepEqual(
    ends(ofGguf(vocabulary(['<|end|>', '<|return|>', '<|call|>']), [])).map(([n]) => n),
    [257, 258]
  )
  assert.deepEqual(
    ends(ofGguf(vocabulary(['</s>', '<|tool_response>']), [id('eos', 257)])).map(([n]) => n),
    [257]
  )
})

test('a user-defined token that ends a turn is special: nobody ends a turn by typing it', () => {
  const metadata = new GgufMetadata(
    'x',
    new Map(tokenizerEntries(vocabulary(['<|im_end|>', '<tool>'], USER_DEFINED))),
    new Map()
  )
  const tokenizer = readTokenizer('x', metadata)
  assert.deepEqual([tokenizer.isSpecial(256), tokenizer.isSpecial(257)], [true, false])
  assert.ok(!tokenizer.encode('a<|im_end|>b').includes(256))
})

test('a file that was written from what was resolved is resolved to the same, whatever was in it', () => {
  const names = ['<|begin_of_text|>', '<|end_of_text|>', '<|eot_id|>', '<|eom_id|>', '<stop>', '<other>']
  const tokenizer = vocabulary(names)
  const anyId = fc.integer({ min: 256, max: 255 + names.length })
  const claim = anyId.map(token => ({ token, source: 'a file' }))
  const end = fc.record({
    token: anyId,
    source: fc.constant('a file'),
    role: fc.constantFrom('eos' as const, 'eot' as const, 'eom' as const, 'other' as const)
  })
  const template = fc.record({
    name: fc.constantFrom('default', 'tool_use'),
    text: fc.string(),
    source: fc.constant('a file')
  })
  const flag = fc.record({ value: fc.boolean(), source: fc.constant('a file') })
  const claims = fc.record({
    templates: fc.array(template, { maxLength: 3 }),
    begin: fc.array(claim, { maxLength: 2 }),
    ends: fc.array(end, { maxLength: 5 }),
    addsBegin: fc.array(flag, { maxLength: 2 }),
    addsEnd: fc.array(flag, { maxLength: 1 })
  })
  const essence = (c: Conversation): unknown => [
    c.template?.text,
    c.otherTemplates.map(t => [t.name, t.text]),
    c.begin?.id,
    c.addsBegin.value,
    c.addsEnd,
    c.ends.map(t => t.id).sort()
  ]
  fc.assert(
    fc.property(claims, given => {
      const resolved = resolveConversation(given, tokenizer)
      const again = ofGguf(tokenizer, conversationEntries(resolved))
      assert.deepEqual(essence(again), essence(resolved))
      assert.deepEqual(essence(ofGguf(tokenizer, conversationEntries(again))), essence(resolved))
    }),
    { numRuns: 300 }
  )
})

test('contradictions, missing tokens and what is not used are told; the first source decides', () => {
  const tokenizer = vocabulary(['<a>', '<b>'])
  const some: ConversationClaims = {
    templates: [
      { name: 'default', text: 'x', source: 'one' },
      { name: 'default', text: 'y', source: 'two' }
    ],
    begin: [
      { token: '<a>', source: 'one' },
      { token: 257, source: 'two' }
    ],
    ends: [
      { token: '<gone>', source: 'one', role: 'eos' },
      { token: 999, source: 'two', role: 'eos' }
    ],
    addsBegin: [
      { value: true, source: 'one' },
      { value: false, source: 'two' }
    ],
    addsEnd: [{ value: true, source: 'one' }]
  }
  const c = resolveConversation(some, tokenizer)
  assert.deepEqual([c.template?.text, c.begin?.id, c.addsBegin.value, c.ends], ['x', 256, true, []])
  const words = [
    /one and two differ/,
    /one names <a> as the begin token, two <b>/,
    /one and two disagree/,
    /one names "<gone>" as end token/,
    /two names 999 as end token/,
    /adds none/,
    /no token is known to end/
  ]
  for (const word of words)
    assert.ok(
      c.warnings.some(w => word.test(w)),
      `${String(word)} in ${c.warnings.join('\n')}`
    )
  assert.match(
    resolveConversation({ ...noClaims, addsBegin: [{ value: true, source: 'k' }] }, tokenizer).warnings.join(),
    /no source names one/
  )
  assert.match(
    resolveConversation(
      { ...noClaims, templates: [{ name: 'rag', text: 'x', source: 'k' }] },
      tokenizer
    ).warnings.join(),
    /no chat template is called default/
  )
  assert.deepEqual(resolveConversation(noClaims, tokenizer).warnings, [])
})

test('an override replaces the template and adds end tokens by text or id; anything else is refused', () => {
  const tokenizer = vocabulary(['<|im_end|>', '<x>'])
  const given = (...tokens: (string | number)[]): ConversationOverrides => ({
    endTokens: { tokens, source: '--end-token' },
    chatTemplate: { text: 'mine', source: 'my.jinja' }
  })
  const c = ofGguf(tokenizer, [['tokenizer.chat_template', gguf.string('theirs')]], given('<x>', '65', 66, 'C'))
  assert.deepEqual(
    [c.template, c.ends.map(t => t.id)],
    [{ text: 'mine', source: 'my.jinja' }, [257, 65, 66, tokenizer.tokenId('C'), 256]]
  )
  for (const token of ['', 'two', '<nothing>', 258, -1, 1.5, '999']) {
    assert.throws(
      () => ofGguf(tokenizer, [], given(token)),
      (e: unknown) => VeritError.is(e, 'VERIT_USAGE') && /which is not a token of this model/.test(e.message),
      String(token)
    )
  }
})

/** A folder of Hugging Face with these files. */
function folder(files: Readonly<Record<string, unknown>>): string {
  const path = mkdtempSync(join(dir, 'f-'))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  return path
}
const names = ['<s>', '</s>', '<|eot_id|>', '<stop>']
const ofFolder = (files: Readonly<Record<string, unknown>>, more: object = {}): Conversation => {
  const tokenizer = vocabulary(names, CONTROL, more)
  return resolveConversation(
    joinClaims(folderClaims(folder(files), files['config.json'] ?? {}, tokenizer), noClaims),
    tokenizer
  )
}

test('each file of a Hugging Face folder alone gives template, begin and end tokens', () => {
  const begins: Record<string, unknown>[] = [
    { 'tokenizer_config.json': { bos_token: '<s>' } },
    { 'tokenizer_config.json': { bos_token: { content: '<s>', lstrip: false } } },
    { 'special_tokens_map.json': { bos_token: '<s>' } },
    { 'generation_config.json': { bos_token_id: 256 } },
    { 'config.json': { bos_token_id: 256 } }
  ]
  for (const files of begins) assert.equal(ofFolder(files).begin?.text, '<s>', JSON.stringify(files))
  assert.deepEqual(ofFolder({}, { beginOfText: 256, addsBegin: true }).addsBegin, {
    value: true,
    source: 'tokenizer.json post_processor'
  })
  assert.equal(ofFolder({ 'tokenizer_config.json': { bos_token: '<s>', add_bos_token: true } }).addsBegin.value, true)
  const stops: Record<string, unknown>[] = [
    { 'tokenizer_config.json': { eos_token: '<stop>' } },
    { 'special_tokens_map.json': { eos_token: { content: '<stop>' } } },
    { 'generation_config.json': { eos_token_id: [258, 259] } },
    { 'generation_config.json': { eos_token_id: 259 } },
    { 'config.json': { eos_token_id: [259] } },
    { 'tokenizer_config.json': { eot_token: '<stop>' } }
  ]
  for (const files of stops)
    assert.ok(
      ofFolder(files).ends.some(t => t.text === '<stop>'),
      JSON.stringify(files)
    )
  const templates: Record<string, unknown>[] = [
    { 'chat_template.jinja': 'T', 'tokenizer_config.json': { chat_template: 'U' } },
    { 'tokenizer_config.json': { chat_template: 'T' } },
    { 'chat_template.json': { chat_template: 'T' } },
    {
      'tokenizer_config.json': {
        chat_template: [
          { name: 'tool_use', template: 'V' },
          { name: 'default', template: 'T' }
        ]
      }
    },
    { 'chat_template.jinja': 'T', 'additional_chat_templates/rag.jinja': 'V' }
  ]
  for (const files of templates) assert.equal(ofFolder(files).template?.text, 'T', JSON.stringify(files))
  assert.deepEqual(
    ofFolder(templates[3]!).otherTemplates.map(t => [t.name, t.text]),
    [['tool_use', 'V']]
  )
  assert.deepEqual(
    ofFolder(templates[4]!).otherTemplates.map(t => [t.name, t.text]),
    [['rag', 'V']]
  )
})

test('a file of a folder that is something else is refused in the words of what it is', () => {
  const cases: [Record<string, unknown>, RegExp][] = [
    [{ 'tokenizer_config.json': '[]' }, /its content is not an object/],
    [{ 'tokenizer_config.json': { eos_token: 5 } }, /eos_token is neither a text/],
    [{ 'generation_config.json': { eos_token_id: 'x' } }, /eos_token_id is neither a whole number/],
    [{ 'tokenizer_config.json': { add_bos_token: 1 } }, /add_bos_token is neither true nor false/],
    [{ 'tokenizer_config.json': { chat_template: [{ template: 'x' }] } }, /has no name or no text/],
    [{ 'tokenizer_config.json': { chat_template: 7 } }, /chat_template is neither/],
    [
      { 'generation_config.json': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n' },
      /is a Git LFS pointer.*git lfs pull/
    ],
    [{ 'special_tokens_map.json': '<!DOCTYPE html><html></html>' }, /is an HTML page.*\/resolve\//],
    [{ 'chat_template.jinja': 'x'.repeat(65_537) }, /has 65537 bytes/],
    [{ 'tokenizer_config.json': '{"a":1,"a":2}' }, /appears twice/]
  ]
  for (const [files, words] of cases)
    assert.throws(
      () => ofFolder(files),
      (e: unknown) => VeritError.is(e) && e.code !== 'VERIT_INTERNAL' && words.test(e.message),
      String(words)
    )
})

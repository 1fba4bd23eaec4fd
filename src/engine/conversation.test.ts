import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { openExecutor } from '../exec/index.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import { parseModelConfig } from '../model/config.ts'
import { noClaims, resolveConversation } from '../model/conversation.ts'
import { convertModel } from '../model/convert.ts'
import { exportGguf } from '../model/export-gguf.ts'
import { initialWeights } from '../model/initialise.ts'
import { ggufSource } from '../model/model-source.ts'
import { byteSpelling } from '../tokenizer/bytes.ts'
import { CONTROL, NORMAL, UNUSED } from '../tokenizer/parts.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { ChatFormat } from './chat-format.ts'
import { chatWarnings } from './check-chat.ts'
import type { Engine, GenerateRequest } from './engine.ts'
import { loadModel } from './load.ts'
import type { LoadOptions } from './load.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-engine-conversation-'))
after(() => rmSync(dir, { recursive: true }))
const executor = openExecutor({ threads: 1 })

const SPECIALS = ['<|begin|>', '<|end_of_text|>', '<|eot_id|>']
const [BEGIN, END, TURN] = [256, 257, 258] as const
/**
 * The last two of 300 tokens are unused: the second last and the last row of the embedding are large and opposite, so
 * that one of them would win everywhere.
 */
const PADS = ['[PAD298]', '[PAD299]']
const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 256, heads: 4, ffn: 32, context: 64, vocab: 300 })
const tokens = [...byteSpelling, ...SPECIALS, ...Array.from({ length: 298 - 259 }, (_, i) => `x${i}x`), ...PADS]
const tokenizer = Tokenizer.fromParts({
  tokens,
  tokenTypes: tokens.map(
    (_, id) => [NORMAL, CONTROL, NORMAL, UNUSED][[255, 258, 297].filter(last => id > last).length]!
  ),
  merges: [],
  pretokenizer: 'gpt-2',
  endOfText: END,
  beginOfText: BEGIN
})
async function write(name: string, entries: readonly [string, GgufValue][] = []): Promise<string> {
  const weights = initialWeights(config, 5)
  const embedding = weights.get('token_embedding')!
  const { hidden } = config
  for (let i = 0; i < hidden; i++) {
    embedding[298 * hidden + i] = i % 2 === 0 ? 9 : -9
    embedding[299 * hidden + i] = -embedding[298 * hidden + i]!
  }
  const path = join(dir, `${name}.gguf`)
  await exportGguf(path, executor, config, tokenizer, p => weights.get(p.name)!, { name, entries: [...entries] })
  return path
}
const open = (path: string, options: LoadOptions = {}): Promise<Engine> =>
  loadModel(path, { executor, slots: 2, ...options })

async function answer(
  engine: Engine,
  request: Partial<GenerateRequest> = {}
): Promise<{ ids: number[]; top: number[]; reason: string }> {
  const ids: number[] = []
  const top: number[] = []
  let reason = ''
  for await (const event of engine.generate({
    prompt: 'abc',
    maxTokens: 20,
    seed: 1,
    ignoreEndOfText: true,
    ...request
  })) {
    if (event.type === 'token') {
      ids.push(event.id)
      top.push(...(event.top?.map(t => t.id) ?? []))
    } else if (event.type === 'end') reason = event.reason
  }
  return { ids, top, reason }
}

let plain = ''
before(async () => void (plain = await write('plain')))

test('unused tokens are never chosen, however large their logits are, by any sampler or head', async () => {
  using file = openGguf(plain)
  const half = join(dir, 'half.gguf')
  await convertModel(ggufSource(file), half, { head: 'F16' })
  for (const [path, headScreen] of [
    [plain, false],
    [half, true],
    [half, false]
  ] as const) {
    await using engine = await open(path, { headScreen })
    assert.deepEqual([...engine.tokenizer.unused], [298, 299])
    for (const request of [
      { temperature: 0 },
      { temperature: 2, topK: 0, topP: 1, minP: 0 },
      { topK: 1 },
      { topK: 40, repetitionPenalty: 1.3 },
      { frequencyPenalty: -2 },
      { logprobs: 20 }
    ]) {
      const { ids, top } = await answer(engine, request)
      assert.equal(ids.length, 20)
      assert.ok(![...ids, ...top].some(id => id >= 298), JSON.stringify([request, ids]))
    }
  }
  // As token ids of a prompt they are allowed, and text never becomes one.
  await using engine = await open(plain)
  assert.equal((await answer(engine, { prompt: [298, 299], maxTokens: 1 })).ids.length, 1)
  assert.ok(!engine.tokenizer.encode('[PAD298]', { allowSpecial: true }).includes(298))
  assert.equal(engine.tokenizer.decode([298]), '[PAD298]')
})

test('screened and whole heads choose the same tokens in a vocabulary with unused ones', async () => {
  const half = join(dir, 'half.gguf')
  await using screened = await open(half, { headScreen: true })
  await using whole = await open(half, { headScreen: false })
  for (const request of [{ temperature: 0 }, { topK: 5, seed: 9 }])
    assert.deepEqual(await answer(screened, request), await answer(whole, request))
})

test('an answer ends at end tokens of the file, at given ones, and at a stop string that spells one', async () => {
  await using engine = await open(plain)
  await using more = await open(plain, { endTokens: ['x0x', '97'] })
  assert.deepEqual(
    engine.info.conversation.endTokens.map(t => t.id),
    [END, TURN]
  )
  const first = (await answer(engine, { temperature: 1.5, topK: 0, maxTokens: 60 })).ids
  const given = (await answer(more, { temperature: 1.5, topK: 0, maxTokens: 60, ignoreEndOfText: false })).ids
  assert.deepEqual(
    more.info.conversation.endTokens.map(t => t.id),
    [END, tokenizer.tokenId('x0x')!, 97, TURN]
  )
  const ends = (id: number): boolean => more.info.conversation.endTokens.some(t => t.id === id)
  assert.deepEqual(given, first.slice(0, 1 + first.findIndex(ends)) || first)
  // The special token that the model happens to choose first is what a stop string names.
  let found = 0
  for (let seed = 0; seed < 40 && found < 2; seed++) {
    const request = { temperature: 1.5, topK: 0, maxTokens: 60, seed }
    const { ids } = await answer(engine, request)
    const at = ids.indexOf(BEGIN)
    if (at < 0) continue
    found++
    assert.deepEqual(await answer(engine, { ...request, stop: ['<|begin|>'] }), {
      ids: ids.slice(0, at + 1),
      top: [],
      reason: 'stop'
    })
  }
  assert.ok(found > 0, 'some seed chooses the token')
})

const body = '{% for m in messages %}{{ m.role }}: {{ m.content }}<|eot_id|>{% endfor %}assistant:'

test('a conversation begins with the begin token exactly once, whatever the template writes', () => {
  const forms = [body, `{{ bos_token }}${body}`, `<|begin|>${body}`, `{% if true %}{{- bos_token }}{% endif %}${body}`]
  const content = fc.constantFrom('Hi', '<|begin|>', ' <|begin|>', '')
  for (const adds of [true, false]) {
    const wanting = Tokenizer.fromParts({ ...tokenizer.toParts(), addsBegin: adds })
    fc.assert(
      fc.property(fc.constantFrom(...forms), content, (text, said) => {
        const ids = new ChatFormat(text, wanting).prompt([{ role: 'user', content: said }])
        const writes = text !== body
        assert.equal(ids.filter(id => id === BEGIN).length, adds || writes ? 1 : 0)
        assert.equal(ids[0] === BEGIN, adds || writes)
      }),
      { numRuns: 30 }
    )
    assert.equal(
      new ChatFormat(undefined, wanting).prompt([{ role: 'user', content: 'Hi' }]).filter(id => id === BEGIN).length,
      1
    )
  }
})

test('a template that does not fit its model is warned of, in words that no terminal acts on', () => {
  const turn = '{% for m in messages %}{{ m.content }}{% endfor %}'
  const cases: [string, RegExp | undefined][] = [
    [`${turn}<|eot_id|>bot:`, undefined],
    [`${turn}<|end_of_text|>`, /ends the prompt with <\|end_of_text\|>/],
    [`${turn}<|eot_id|>`, /ends the prompt with <\|eot_id\|>/],
    [`<|im_start|>user ${turn}<|im_end|>`, /writes <\|im_start\|>, <\|im_end\|>, which are not in the vocabulary/],
    [`<start_of_turn>${turn}`, /<start_of_turn>, which is not in the vocabulary/],
    [`${turn}</s>`, /<\/s>/],
    [`[INST] ${turn} [/INST]`, undefined],
    ['{% bad', /fails on a short conversation/],
    ["{{ raise_exception('No system role') }}", /No system role/],
    ['no message', /leaves the text of a message out/],
    [`\x1b[2J${turn}<|\u202eback|>`, /<\|\\u\{202e\}back\|>/],
    [`<|begin|><|begin|>${turn}`, /<\|begin\|> twice/]
  ]
  for (const [text, words] of cases) {
    const begin = { token: BEGIN, source: 'key' }
    const ends = [{ token: END, source: 'key', role: 'eos' as const }]
    const conversation = resolveConversation(
      { ...noClaims, begin: [begin], ends, templates: [{ name: 'default', text, source: 'key' }] },
      tokenizer
    )
    const warnings = chatWarnings(conversation, new ChatFormat(text, tokenizer), tokenizer)
    if (words === undefined) assert.deepEqual(warnings, [], text)
    else
      assert.ok(
        warnings.some(w => words.test(w)),
        `${String(words)} in ${warnings.join('\n')}`
      )
    assert.doesNotMatch(warnings.join(''), /\p{C}/u)
  }
})

test("a template and end tokens that are given take the place of the file's, or are refused", async () => {
  const path = await write('template', [['tokenizer.chat_template', gguf.string('{% bad')]])
  await using engine = await open(path, { chatTemplate: body })
  assert.deepEqual(
    [engine.info.conversation.templateSource, engine.info.conversation.warnings, engine.info.chatTemplate],
    ['chatTemplate', [], body]
  )
  assert.equal(
    engine.tokenizer.decode(engine.chatPrompt([{ role: 'user', content: 'Hi' }])),
    'user: Hi<|eot_id|>assistant:'
  )
  await using broken = await open(path)
  assert.match(broken.info.conversation.warnings.join(), /fails on a short conversation/)
  const refused: [LoadOptions, string][] = [
    [{ chatTemplate: '{% bad' }, 'VERIT_CHAT'],
    [{ chatTemplate: 'x'.repeat(65_537) }, 'VERIT_REQUEST'],
    [{ endTokens: ['no such token'] }, 'VERIT_USAGE'],
    [{ endTokens: [300] }, 'VERIT_USAGE'],
    [{ endTokens: Array(65).fill(1) as number[] }, 'VERIT_REQUEST'],
    [{ endTokens: [''] }, 'VERIT_REQUEST']
  ]
  for (const [options, code] of refused)
    await assert.rejects(open(plain, options), (e: unknown) => VeritError.is(e) && e.code === code, code)
  const named = { chatTemplate: '{% if %}', conversationSources: { chatTemplate: 'my.jinja' } }
  await assert.rejects(loadModel('no such file', named), /^VeritError: The chat template my\.jinja cannot be read: /)
})

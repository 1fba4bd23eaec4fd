import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { instructionSets, openExecutor } from '../exec/index.ts'
import { gguf } from '../formats/gguf-value.ts'
import { parseModelConfig } from '../model/config.ts'
import { requireCapability } from './engine.ts'
import type { Engine, GenerateEvent, GenerateRequest } from './engine.ts'
import { loadModel } from './load.ts'
import { writeRandomModel } from '../bench/random-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-engine-'))
const path = join(folder, 'tiny.gguf')
const gptPath = join(folder, 'tiny-gpt.gguf')
const llamaPath = join(folder, 'tiny-llama.gguf')
let engine: Engine

before(async () => {
  const executor = openExecutor({ threads: 1 })
  const shape = { layers: 2, hidden: 32, heads: 4, context: 64, vocab: 260 }
  await writeRandomModel(path, executor, parseModelConfig({ kind: 'bitnet', ...shape, kvHeads: 2, ffn: 64 }), {
    scale: 20,
    specials: ['<|end|>'],
    entries: [['tokenizer.chat_template', gguf.string('{{ messages[0].content }}<|end|>')]]
  })
  await writeRandomModel(gptPath, executor, parseModelConfig({ kind: 'gpt', ...shape }), { scale: 8 })
  await writeRandomModel(
    llamaPath,
    executor,
    parseModelConfig({ kind: 'llama', ...shape, kvHeads: 2, ffn: 64, eps: 1e-5 }),
    { scale: 20 }
  )
  engine = await loadModel(path, { threads: 2, slots: 3, queue: 2 })
})
after(async () => {
  await engine.close()
  rmSync(folder, { recursive: true })
})

type Token = Extract<GenerateEvent, { type: 'token' }>
type End = Extract<GenerateEvent, { type: 'end' }>

async function run(
  e: Engine,
  request: GenerateRequest
): Promise<{ ids: number[]; text: string; tokens: Token[]; end: End }> {
  const events = await Array.fromAsync(e.generate(request))
  const tokens = events.filter(v => v.type === 'token')
  assert.equal(events[0]!.type, 'start')
  const end = events.at(-1) as End
  assert.equal(end.completionTokens, tokens.length - (request.echo ? end.promptTokens : 0))
  return { ids: tokens.map(t => t.id), text: tokens.map(t => t.text).join(''), tokens, end }
}

const requests: GenerateRequest[] = [
  { prompt: 'To be, or not to be', seed: 5, maxTokens: 30 },
  { prompt: 'that', seed: 6, maxTokens: 20, temperature: 1.5, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1.2 },
  { prompt: [9, 8, 7], seed: 7, maxTokens: 25, temperature: 0, presencePenalty: 1 },
  { prompt: 'is the question: whether it is nobler', seed: 8, maxTokens: 12, frequencyPenalty: 0.5 }
]

test('the same tokens on every instruction set and number of threads, alone and together with others', async () => {
  const alone: number[][] = []
  for (const r of requests) alone.push((await run(engine, r)).ids)
  assert.ok(new Set(alone.map(String)).size === 4 && alone.every(ids => ids.length > 0))
  assert.deepEqual(
    (await Promise.all(requests.map(r => run(engine, r)))).map(r => r.ids),
    alone
  )
  for (const [file, first] of [
    [path, alone],
    [gptPath, undefined]
  ] as const) {
    let expected = first
    for (const instructionSet of instructionSets()) {
      for (const threads of instructionSet === 'reference' ? [1] : [1, 2]) {
        await using other = await loadModel(file, { instructionSet, threads, slots: threads + 1, rows: 7 })
        const ids = (await Promise.all(requests.map(r => run(other, r)))).map(r => r.ids)
        assert.deepEqual(ids, (expected ??= ids), `${file} ${instructionSet} ${threads}`)
      }
    }
  }
})

test('an answer has the same bits alone, in a batch, in pieces and on reused pages, with f16 and f32', async () => {
  const prompt = Array.from({ length: 40 }, (_, i) => (i * 37) % 257)
  const request: GenerateRequest = { prompt, maxTokens: 12, seed: 3, logprobs: 3, ignoreEndOfText: true }
  const first = new Map<string, GenerateEvent[]>()
  for (const cacheType of ['f16', 'f32'] as const) {
    for (const instructionSet of instructionSets()) {
      // 7 rows: the prompt is run in pieces
      await using e = await loadModel(llamaPath, { instructionSet, threads: 2, slots: 3, rows: 7, cacheType })
      assert.equal(e.info.cacheType, cacheType)
      let reused = 0
      const answer = async (tenant?: string): Promise<GenerateEvent[]> => {
        const [start, ...events] = await Array.fromAsync(e.generate(request, undefined, tenant))
        reused = start?.type === 'start' ? start.cachedTokens : NaN
        return events.filter(event => event.type === 'token')
      }
      const expected = first.get(cacheType) ?? (await answer())
      first.set(cacheType, expected)
      assert.equal(expected.length, 12)
      const others = requests.slice(0, 2).map(r => run(e, r))
      assert.deepEqual(await answer('a'), expected, `${cacheType} ${instructionSet}: beside others`)
      await Promise.all(others)
      assert.equal(reused, 0)
      assert.deepEqual(await answer('a'), expected, `${cacheType} ${instructionSet}: with reused pages`)
      assert.equal(reused, 32)
      await using whole = await loadModel(llamaPath, { instructionSet, threads: 1, slots: 1, cacheType })
      const events = await Array.fromAsync(whole.generate(request))
      assert.deepEqual(
        events.filter(event => event.type === 'token'),
        expected,
        `${cacheType} ${instructionSet}: in one piece`
      )
    }
  }
  assert.notDeepEqual(first.get('f16'), first.get('f32'), 'f16 rounds')
})

test('the cache is f32 for models that Verit trains and f16 for others; an unknown type is refused', async () => {
  assert.equal(engine.info.cacheType, 'f32')
  for (const [file, type] of [
    [gptPath, 'f32'],
    [llamaPath, 'f16']
  ] as const) {
    await using plain = await loadModel(file, { threads: 1 })
    await using auto = await loadModel(file, { threads: 1, cacheType: 'auto' })
    assert.deepEqual([plain.info.cacheType, auto.info.cacheType], [type, type])
  }
  for (const cacheType of ['q8_0', 'F16', '', 16, null]) {
    const problem = 'must be one of auto, f16, f32'
    await assert.rejects(loadModel(path, { cacheType: cacheType as 'f16' }), {
      code: 'VERIT_REQUEST',
      fields: { field: 'cacheType', problem }
    })
  }
})

test('a seed repeats a generation, another one changes it, and one that is not given is told', async () => {
  const free = { prompt: 'Once', maxTokens: 30, temperature: 1, topK: 0, topP: 1, minP: 0 }
  const [start] = await Array.fromAsync(engine.generate(free))
  assert.ok(start!.type === 'start' && Number.isSafeInteger(start!.seed))
  const { ids } = await run(engine, { ...free, seed: 1 })
  assert.deepEqual((await run(engine, { ...free, seed: 1 })).ids, ids)
  assert.notDeepEqual((await run(engine, { ...free, seed: 2 })).ids, ids)
})

test('an answer ends at its length, at the context, at a stop string and at the end of text', async () => {
  const plain = await run(engine, { ...requests[0]!, maxTokens: 1000 })
  assert.equal(plain.end.reason, 'length')
  assert.equal(plain.end.promptTokens + plain.end.completionTokens, 64)
  assert.equal((await run(engine, { prompt: 'x', maxTokens: 0 })).ids.length, 0)

  const text = plain.text
  assert.ok(text.length > 12)
  const stop = text.slice(6, 10)
  const stopped = await run(engine, { ...requests[0]!, maxTokens: 1000, stop: [stop, 'never'] })
  assert.equal(stopped.end.reason, 'stop')
  assert.equal(stopped.text, text.slice(0, text.indexOf(stop)))
})

test('the end-of-text token ends an answer and gives no text; ignoring it goes on', async () => {
  const request = { prompt: [5], temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 60 }
  let found = 0
  for (let seed = 0; seed < 40 && found === 0; seed++) {
    const { ids, tokens, end } = await run(engine, { ...request, seed })
    if (end.reason !== 'stop') continue
    found++
    // the name of the second says that it ends a turn
    assert.ok([engine.tokenizer.endOfText, engine.tokenizer.tokenId('<|end|>')].includes(ids.at(-1)!))
    assert.ok(
      !tokens
        .map(t => t.text)
        .join('')
        .includes('endoftext')
    )
    const on = await run(engine, { ...request, seed, ignoreEndOfText: true })
    assert.deepEqual(on.ids.slice(0, ids.length), ids)
    assert.equal(on.end.completionTokens, 60)
  }
  assert.equal(found, 1)
})

test('text comes in whole characters, and echo gives the prompt first', async () => {
  const { text, tokens } = await run(engine, { prompt: 'né👍', maxTokens: 2, seed: 1, echo: true })
  assert.ok(text.startsWith('né👍'))
  assert.deepEqual(
    tokens.slice(0, 7).map(t => t.text),
    ['n', '', 'é', '', '', '', '👍']
  )
  assert.ok(tokens.every(t => t.text.isWellFormed()))
})

test('log probabilities come with the token that was chosen and the most probable ones', async () => {
  const { tokens } = await run(engine, { prompt: 'x', maxTokens: 5, temperature: 0, logprobs: 3 })
  for (const t of tokens) {
    assert.equal(t.top!.length, 3)
    assert.deepEqual({ id: t.id, logprob: t.logprob }, { id: t.top![0]!.id, logprob: t.top![0]!.logprob })
    assert.ok(t.logprob! <= 0 && t.top![1]!.logprob >= t.top![2]!.logprob)
    assert.equal(t.top![0]!.text, engine.tokenizer.decode([t.id]))
  }
})

test('special tokens in a text prompt are plain text, and an empty prompt is the end-of-text token', async () => {
  assert.equal((await run(engine, { prompt: '<|endoftext|>', maxTokens: 1 })).end.promptTokens, 13)
  const empty = await run(engine, { prompt: '', maxTokens: 9, seed: 2 })
  assert.equal(empty.end.promptTokens, 1)
  assert.deepEqual(empty.ids, (await run(engine, { prompt: [engine.tokenizer.endOfText!], maxTokens: 9, seed: 2 })).ids)
})

test('one request too many is refused, and cancelling frees a place at once', async () => {
  const endless = { prompt: 'x', maxTokens: 60, ignoreEndOfText: true }
  const abort = new AbortController()
  const streams = Array.from({ length: 5 }, () => engine.generate(endless, abort.signal))
  const pending = streams.map(s => s.next())
  await pending[0]
  assert.deepEqual(engine.load, { running: 3, waiting: 2, slots: 3 })
  await assert.rejects(engine.generate(endless).next(), { code: 'VERIT_BUSY', status: 503 })
  // One that stops reading leaves, and the first that waits takes its place.
  await streams[0]!.return()
  assert.deepEqual(engine.load, { running: 3, waiting: 1, slots: 3 })
  abort.abort()
  assert.deepEqual(engine.load, { running: 0, waiting: 0, slots: 3 })
  await Promise.all(pending)
  const last = (await Promise.all(streams.slice(1).map(s => Array.fromAsync(s)))).map(events => events.at(-1))
  // Those that were waiting for their first event got the end as that.
  assert.ok(last.every(e => e === undefined || (e.type === 'end' && e.reason === 'cancelled')))
  assert.equal((await run(engine, { prompt: 'x', maxTokens: 3, ignoreEndOfText: true })).ids.length, 3)
  const aborted = await Array.fromAsync(engine.generate(endless, AbortSignal.abort()))
  assert.deepEqual(
    aborted.map(e => e.type === 'end' && e.reason),
    ['cancelled']
  )
})

test('a reader that falls behind pauses its generation, not those of others', async () => {
  const wide = await loadModel(path, { threads: 1, slots: 2, context: 64 })
  const slow = wide.generate({ prompt: [1], maxTokens: 62, ignoreEndOfText: true, seed: 1, logprobs: 0 })
  await slow.next()
  const quick = await run(wide, { prompt: [1], maxTokens: 62, ignoreEndOfText: true, seed: 1, logprobs: 0 })
  assert.deepEqual(
    (await Array.fromAsync(slow)).filter(e => e.type === 'token'),
    quick.tokens
  )
  await wide.close()
  await assert.rejects(wide.generate({ prompt: 'x' }).next(), { code: 'VERIT_ENGINE_CLOSED' })
})

test('every parameter is checked, whatever it is', async () => {
  const wrong: [string, unknown[]][] = [
    ['temperature', [-1, NaN, 11, Infinity, '1', null, true]],
    ['topK', [-1, 1.5, 2e9, NaN, '4']],
    ['topP', [-0.1, 1.1, NaN]],
    ['minP', [-1, 2]],
    ['repetitionPenalty', [0, -1, 11, NaN]],
    ['repetitionWindow', [-1, 0.5]],
    ['presencePenalty', [-3, 3, NaN]],
    ['frequencyPenalty', [2.5, {}]],
    ['seed', [-1, 0.5, 2 ** 53, NaN, 5n]],
    ['maxTokens', [-1, 1.5, 1e9, NaN]],
    ['logprobs', [-1, 21, 1.5]],
    ['stop', ['x', [''], [5], Array(17).fill('x'), ['x'.repeat(257)], ['\ud800']]],
    ['echo', [1, 'yes']],
    ['ignoreEndOfText', [0]],
    ['prompt', [undefined, null, 5, {}, ['x'], [1.5], 'x'.repeat((1 << 20) + 1)]],
    ['unknown', [1]]
  ]
  for (const [field, values] of wrong) {
    for (const value of values) {
      await assert.rejects(
        engine.generate({ prompt: 'x', [field]: value } as GenerateRequest).next(),
        { code: 'VERIT_REQUEST', status: 400 },
        `${field} ${String(value)}`
      )
    }
  }
  await assert.rejects(engine.generate({ prompt: [260] }).next(), { code: 'VERIT_TOKEN_ID', status: 400 })
  await assert.rejects(engine.generate({ prompt: 'x'.repeat(64) }).next(), { code: 'VERIT_PROMPT_LENGTH', status: 400 })
  await assert.rejects(engine.generate({ prompt: Array<number>(64).fill(1) }).next(), { code: 'VERIT_PROMPT_LENGTH' })
  await assert.rejects(loadModel(path, { slots: 0 }), { code: 'VERIT_REQUEST' })
})

test("what was loaded is told, from an open file as from a path, and the chat template is the file's", async () => {
  const handle = await open(path)
  await using other = await loadModel(handle, { threads: 1, context: 32 })
  assert.deepEqual({ ...other.info, context: 64, threads: 2 }, { ...engine.info })
  assert.equal(other.info.context, 32)
  assert.match(engine.info.digest, /^sha256:[0-9a-f]{64}$/)
  assert.deepEqual(engine.chatPrompt([{ role: 'user', content: '<|end|>' }]), [
    ...engine.tokenizer.encode('<|end|>'),
    engine.tokenizer.tokenId('<|end|>')!
  ])
  assert.deepEqual(engine.chatStop, [])
  await handle.close()
})

test('an engine names itself and its capabilities, and refuses what it lacks', async () => {
  assert.equal(engine.info.engine, 'verit')
  assert.deepEqual(engine.info.capabilities, {
    bitExact: true,
    logProbabilities: true,
    constrainedOutput: false,
    embeddings: true
  })
  assert.throws(() => requireCapability(engine.info, 'constrainedOutput', 'it'), {
    code: 'VERIT_UNSUPPORTED',
    status: 400,
    fields: { what: 'it', engine: 'verit' }
  })
  requireCapability(engine.info, 'logProbabilities', 'it')
  for (const name of ['other', 'toString', 5])
    await assert.rejects(loadModel(path, { engine: name as 'verit' }), {
      code: 'VERIT_REQUEST',
      fields: { field: 'engine', problem: 'must be one of verit' }
    })
  await using same = await loadModel(path, { engine: 'verit', threads: 1 })
  assert.equal(same.info.digest, engine.info.digest)
})

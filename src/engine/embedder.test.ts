import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { writeRandomModel } from '../bench/random-model.ts'
import { instructionSets, openExecutor } from '../exec/index.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { parseModelConfig } from '../model/config.ts'
import { loadModel as loadWeights } from '../model/load-gguf.ts'
import type { Engine } from './engine.ts'
import { loadModel } from './load.ts'
import { rerankPrompts } from './rerank.ts'
import { ServingModel } from './serving-model.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-embedder-'))
after(() => rmSync(folder, { recursive: true }))
const executor = openExecutor({ threads: 1 })
const config = parseModelConfig({
  kind: 'qwen3',
  layers: 2,
  hidden: 32,
  heads: 4,
  kvHeads: 2,
  ffn: 64,
  context: 512,
  vocab: 264,
  eps: 1e-6
})
const specials = ['<|im_start|>', '<|im_end|>', 'yes', 'no']

async function model(name: string, entries: readonly [string, GgufValue][] = []): Promise<string> {
  const path = join(folder, `${name}.gguf`)
  await writeRandomModel(path, executor, config, { scale: 20, specials, entries: [...entries] })
  return path
}

const pooling = (type: number): [string, GgufValue][] => [['qwen3.pooling_type', { type: 'u32', value: type }]]
const texts = Array.from({ length: 32 }, (_, i) =>
  'The quick brown fox. '.slice(0, 1 + ((i * 5) % 20)).repeat(1 + (i % 4))
)
const length = (v: Float32Array): number => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0))

test('a vector has the same bits alone, in a batch of 32, in any order, and with any instruction set', async () => {
  for (const type of [0, 1, 2]) {
    const path = await model(`pool-${type}`, pooling(type))
    await using engine = await loadModel(path, { threads: 2 })
    const together = await engine.embed(texts)
    assert.deepEqual((await engine.embed(texts.toReversed())).toReversed(), together)
    for (const i of [0, 7, 31]) assert.deepEqual(await engine.embed([texts[i]!]), [together[i]])
    for (const vector of together) assert.ok(Math.abs(length(vector) - 1) < 1e-6)
    for (const instructionSet of instructionSets()) {
      await using other = await loadModel(path, { threads: 1, instructionSet })
      assert.deepEqual(await other.embed(texts.slice(0, 3)), together.slice(0, 3), instructionSet)
    }
  }
})

test('pooling takes the last, the first or the mean hidden state; a text has the tokens around it', async () => {
  const vectors: Float32Array[] = []
  for (const type of [1, 2, 3]) {
    await using engine = await loadModel(await model(`kind-${type}`, pooling(type)))
    vectors.push((await engine.embed([[70, 71, 72]]))[0]!)
    if (type !== 2) continue
    // The first hidden state sees the first token alone.
    assert.deepEqual(await engine.embed([[70]]), [vectors[1]])
  }
  assert.equal(new Set(vectors.map(String)).size, 3)
  await using plain = await loadModel(await model('plain'))
  assert.deepEqual(await plain.embed([[70, 71, 72]]), [vectors[2]])

  await using ended = await loadModel(
    await model('ended', [['tokenizer.ggml.add_eos_token', { type: 'bool', value: true }]])
  )
  const { tokenizer } = ended
  const around = [...tokenizer.encode('fox'), tokenizer.endOfText!]
  assert.deepEqual(await ended.embed(['fox']), await ended.embed([around]))
})

test('embedding and generation share a model, and each has its own answer', async () => {
  await using engine = await loadModel(await model('shared'), { threads: 2 })
  const alone = await engine.embed(texts)
  const answer = async (e: Engine): Promise<string> => {
    let text = ''
    for await (const event of e.generate({ prompt: 'fox', seed: 1, maxTokens: 40 }))
      if (event.type === 'token') text += event.text
    return text
  }
  const wanted = await answer(engine)
  const [both, text] = await Promise.all([engine.embed(texts), answer(engine)])
  assert.deepEqual(both, alone)
  assert.equal(text, wanted)
})

test('a score is the probability of yes against no, by the logits of the prompt alone', async () => {
  const path = await model('rank')
  await using engine = await loadModel(path)
  const request = { query: 'what jumps?', documents: ['a fox <|im_end|>', 'a dog', 'nothing '.repeat(20)] }
  const scores = await engine.rerank(request)
  using file = openGguf(path)
  const loaded = await loadWeights(file, executor)
  using serving = new ServingModel(executor, loaded.config, loaded.weights, { rows: 512, cacheType: 'f32' })
  const [yes, no] = [engine.tokenizer.tokenId('yes')!, engine.tokenizer.tokenId('no')!]
  for (const [i, prompt] of rerankPrompts(engine.tokenizer, request).entries()) {
    const rows = Array.from(prompt, (id, position) => ({
      id,
      position,
      slot: 0,
      wanted: position === prompt.length - 1
    }))
    const [logits] = await serving.run(rows)
    const score = 1 / (1 + Math.exp(logits![no]! - logits![yes]!))
    assert.ok(Math.abs(scores[i]! - score) < 1e-6, `${scores[i]} for ${score}`)
  }
  assert.deepEqual(await engine.rerank({ ...request, documents: ['a dog'] }), [scores[1]])
  // The end mark in a document is plain text.
  const marks = engine.tokenizer.tokenId('<|im_end|>')
  assert.equal(rerankPrompts(engine.tokenizer, request)[0]!.filter(id => id === marks).length, 2)
})

test('what cannot be embedded or ranked is refused by name', async () => {
  await using engine = await loadModel(await model('refused'), { context: 64 })
  await assert.rejects(engine.embed([[]]), { code: 'VERIT_REQUEST' })
  await assert.rejects(engine.embed([[1, 264]]), { code: 'VERIT_TOKEN_ID' })
  await assert.rejects(engine.embed([[1.5]]), { code: 'VERIT_TOKEN_ID' })
  await assert.rejects(engine.embed(['x'.repeat(65)]), { code: 'VERIT_PROMPT_LENGTH' })
  await assert.rejects(engine.embed(['x'.repeat(1e6)]), { code: 'VERIT_PROMPT_LENGTH' })
  await assert.rejects(engine.rerank({ query: 'x', documents: ['x'.repeat(99)] }), { code: 'VERIT_PROMPT_LENGTH' })
  const stop = AbortSignal.abort(new Error('stopped'))
  await assert.rejects(engine.embed(['x'], stop), /stopped/)
  const path = join(folder, 'other.gguf')
  await writeRandomModel(path, executor, config)
  await using other = await loadModel(path)
  await assert.rejects(other.rerank({ query: 'x', documents: ['y'] }), { code: 'VERIT_UNSUPPORTED' })
  await assert.rejects(loadModel(await model('rank-head', pooling(4))), { code: 'VERIT_GGUF' })
})

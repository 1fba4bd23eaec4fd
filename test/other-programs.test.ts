/**
 * Files that other programs open: names, shapes and metadata of llama.cpp's `gpt2` and transformers' GGUF reader, and
 * the same ids and bits when Verit reads them back. The programs themselves are asked by test/agreement.test.ts,
 * where they are installed.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { referenceExecutor } from '../src/exec/reference.ts'
import { openGguf } from '../src/formats/gguf-reader.ts'
import { gguf } from '../src/formats/gguf-value.ts'
import type { GgufValue } from '../src/formats/gguf-value.ts'
import { writeGguf } from '../src/formats/gguf-writer.ts'
import { VeritError } from '../src/lib/errors.ts'
import { byteTokenizer } from '../src/bench/random-model.ts'
import { parseModelConfig } from '../src/model/config.ts'
import type { ModelConfig } from '../src/model/config.ts'
import { convertModel } from '../src/model/convert.ts'
import type { ConvertOptions } from '../src/model/convert.ts'
import { exportGguf } from '../src/model/export-gguf.ts'
import { initialWeights } from '../src/model/initialise.ts'
import { loadModel } from '../src/model/load-gguf.ts'
import { ggufSource } from '../src/model/model-source.ts'
import { Tokenizer } from '../src/tokenizer/tokenizer.ts'
import { TokenizerTrainer } from '../src/tokenizer/train-tokenizer.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-other-programs-'))
after(() => rmSync(dir, { recursive: true }))
const executor = referenceExecutor()
const file = (name: string): string => join(dir, `${name}.gguf`)

function characters(text: string): Tokenizer {
  const trainer = new TokenizerTrainer({ kind: 'character' })
  trainer.push(text)
  trainer.end()
  return trainer.finish()
}
async function write(name: string, config: ModelConfig, tokenizer: Tokenizer): Promise<void> {
  const weights = initialWeights(config, 3)
  await exportGguf(file(name), executor, config, tokenizer, p => weights.get(p.name)!, { name })
}
const gpt = (tokenizer: Tokenizer, more: object = {}): ModelConfig =>
  parseModelConfig({ kind: 'gpt', layers: 2, hidden: 8, heads: 2, context: 8, vocab: tokenizer.vocabSize, ...more })
const bytes = byteTokenizer(257)
async function convert(from: string, to: string, options: ConvertOptions = {}): Promise<readonly string[]> {
  using source = openGguf(file(from))
  const { notes } = await convertModel(ggufSource(source), file(to), { overwrite: true, ...options })
  return notes
}

/** What llama.cpp's `gpt2` requires (src/models/gpt2.cpp). */
const shapes = (
  layers: number,
  hidden: number,
  ffn: number,
  vocab: number,
  context: number
): Record<string, string> => ({
  'token_embd.weight': `${vocab},${hidden}`,
  'position_embd.weight': `${context},${hidden}`,
  'output_norm.weight': `${hidden}`,
  'output_norm.bias': `${hidden}`,
  ...Object.fromEntries(
    Array.from({ length: layers }, (_, l) =>
      Object.entries({
        attn_norm: [hidden],
        attn_qkv: [3 * hidden, hidden],
        attn_output: [hidden, hidden],
        ffn_norm: [hidden],
        ffn_up: [ffn, hidden],
        ffn_down: [hidden, ffn]
      }).flatMap(([name, shape]) => [
        [`blk.${l}.${name}.weight`, shape.join()],
        [`blk.${l}.${name}.bias`, String(shape[0])]
      ])
    ).flat()
  )
})

test("a gpt has every tensor of llama.cpp's gpt2, with biases or without", async () => {
  for (const bias of [true, false]) {
    await write('gpt', gpt(bytes, { bias }), bytes)
    using open = openGguf(file('gpt'))
    assert.deepEqual(
      Object.fromEntries(open.tensors.map(t => [t.name, t.shape.join()]).sort()),
      Object.fromEntries(Object.entries(shapes(2, 8, 32, 257, 8)).sort())
    )
    const { config } = await loadModel(open, executor)
    assert.deepEqual([config.kind, 'bias' in config && config.bias], ['gpt', bias])
    for (const { name } of open.tensors.filter(t => t.name.endsWith('.bias') && !bias))
      assert.ok(
        open.readTensor(name).every(b => b === 0),
        name
      )
  }
})

test('an older file of a gpt opens to the same weights, and convert completes it', async () => {
  await write('new', gpt(bytes), bytes)
  using now = openGguf(file('new'))
  const entries = [...now.metadata.entries].filter(([key]) => key !== 'verit.bias')
  writeGguf(file('old'), {
    metadata: entries,
    tensors: now.tensors
      .filter(t => !t.name.endsWith('.bias'))
      .map(t => ({ name: t.name, type: t.type, shape: t.shape, data: now.readTensor(t.name) }))
  })
  using old = openGguf(file('old'))
  const [a, b] = [await loadModel(now, executor), await loadModel(old, executor)]
  assert.deepEqual([a.config, Buffer.from(a.weights.bytes)], [b.config, Buffer.from(b.weights.bytes)])
  await convert('old', 'completed')
  using completed = openGguf(file('completed'))
  assert.deepEqual(completed.tensors.map(t => t.name).sort(), now.tensors.map(t => t.name).sort())
  await convert('completed', 'again')
  assert.deepEqual(readFileSync(file('again')), readFileSync(file('completed')))
  // A bias that is none must be zeros: else the model would be another one.
  const change = (name: string, data: Uint8Array): void => {
    writeGguf(
      file('bad'),
      {
        metadata: [...now.metadata.entries],
        tensors: now.tensors.map(t => ({
          name: t.name,
          type: t.type,
          shape: t.shape,
          data: t.name === name ? data : now.readTensor(t.name)
        }))
      },
      true
    )
  }
  change('blk.1.ffn_up.bias', new Uint8Array(4 * 32).fill(1))
  using bad = openGguf(file('bad'))
  await assert.rejects(
    loadModel(bad, executor),
    (e: unknown) =>
      VeritError.is(e, 'VERIT_MODEL_FILE') && /blk\.1\.ffn_up\.bias holds a value that is not zero/.test(e.message)
  )
})

/** BPE as llama.cpp does it: merges are pairs of texts, and what they make need not be a token on the way. */
function ids(tokens: readonly string[], merges: readonly string[], spelled: string): number[] {
  const ranks = new Map(merges.map((merge, rank) => [merge, rank]))
  const symbols = [...spelled]
  for (;;) {
    let best = -1
    for (let i = 0; i + 1 < symbols.length; i++) {
      const rank = ranks.get(`${symbols[i]} ${symbols[i + 1]}`)
      if (rank !== undefined && (best < 0 || rank < ranks.get(`${symbols[best]} ${symbols[best + 1]}`)!)) best = i
    }
    if (best < 0) return symbols.map(s => tokens.indexOf(s))
    symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!)
  }
}

test('a vocabulary of characters becomes byte-level BPE of the same ids, and is read back', async () => {
  for (const alphabet of ['abc \n.', 'aé“”—…🙂漢字 \n', 'éè', '🙂🙃😀']) {
    const tokenizer = characters(alphabet)
    await write('characters', gpt(tokenizer), tokenizer)
    using open = openGguf(file('characters'))
    const { metadata } = open
    const merges = metadata.strings('tokenizer.ggml.merges')
    assert.equal(metadata.string('tokenizer.ggml.pre'), 'gpt-2')
    const { tokenizer: again } = await loadModel(open, executor)
    assert.equal(again.digest, tokenizer.digest)
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...alphabet), { maxLength: 12 }), letters => {
        const text = letters.join('')
        const own = [...tokenizer.encode(text)]
        assert.deepEqual([...again.encode(text)], own)
        const spelled = own.map(id => tokenizer.token(id)).join('')
        assert.deepEqual(ids(metadata.strings('tokenizer.ggml.tokens'), merges, spelled), own)
      }),
      { numRuns: 30 }
    )
  }
  // Files of before said 'character' and had no merges.
  const tokenizer = characters('aé')
  await write('characters', gpt(tokenizer), tokenizer)
  using open = openGguf(file('characters'))
  const change = (entries: readonly [string, GgufValue][]): void => {
    const changed = new Map([...open.metadata.entries, ...entries])
    writeGguf(
      file('changed'),
      {
        metadata: [...changed],
        tensors: open.tensors.map(t => ({ name: t.name, type: t.type, shape: t.shape, data: open.readTensor(t.name) }))
      },
      true
    )
  }
  change([
    ['tokenizer.ggml.pre', gguf.string('character')],
    ['tokenizer.ggml.merges', gguf.strings([])],
    ['verit.pretokenizer', gguf.string('')]
  ])
  using old = openGguf(file('changed'))
  assert.equal((await loadModel(old, executor)).tokenizer.digest, tokenizer.digest)
  await convert('changed', 'completed')
  using completed = openGguf(file('completed'))
  assert.deepEqual(completed.metadata.strings('tokenizer.ggml.merges'), open.metadata.strings('tokenizer.ggml.merges'))
  change([['tokenizer.ggml.merges', gguf.strings(['a a'])]])
  using wrong = openGguf(file('changed'))
  await assert.rejects(loadModel(wrong, executor), /the merges are not those of its characters/)
})

test('the matrices of a gpt can be written smaller, are read back, and what that cost is told', async () => {
  const config = parseModelConfig({ kind: 'gpt', layers: 1, hidden: 256, heads: 2, context: 8, vocab: 257 })
  await write('wide', config, bytes)
  using source = openGguf(file('wide'))
  for (const [matrices, least, most] of [
    ['F16', 1e-5, 3e-4],
    ['Q8_0', 3e-3, 8e-3],
    ['Q6_K', 0.01, 0.03]
  ] as const) {
    const { losses } = await convertModel(ggufSource(source), file('small'), { matrices, overwrite: true })
    assert.deepEqual(
      losses.map(l => l.tensors),
      ['matrices of the layers']
    )
    assert.ok(losses[0]!.relative > least && losses[0]!.relative < most)
    using small = openGguf(file('small'))
    assert.deepEqual(
      [
        small.tensor('blk.0.ffn_up.weight').type,
        small.tensor('position_embd.weight').type,
        small.tensor('token_embd.weight').type
      ],
      [matrices, 'F32', 'F32']
    )
    await loadModel(small, executor)
  }
})

test('for llama.cpp a BitNet with SiLU is written in its types; one with another gate is refused', async () => {
  const shape = { kind: 'bitnet', layers: 1, hidden: 256, heads: 2, ffn: 320, context: 8, vocab: 257 }
  await write('silu', parseModelConfig({ ...shape, activation: 'silu' }), bytes)
  await convert('silu', 'silu-llama', { for: 'llama.cpp' })
  using open = openGguf(file('silu-llama'))
  const type = (name: string): string => open.tensor(`blk.0.${name}.weight`).type
  assert.deepEqual(
    [open.metadata.string('general.architecture'), type('attn_q'), type('ffn_up'), type('ffn_down')],
    ['bitnet', 'TQ2_0', 'TQ2_0', 'F16']
  )
  const { weights } = await loadModel(open, executor)
  await convert('silu-llama', 'back', { ternary: 'I2_S' })
  using back = openGguf(file('back'))
  assert.deepEqual(Buffer.from((await loadModel(back, executor)).weights.bytes), Buffer.from(weights.bytes))
  await write('relu', parseModelConfig(shape), bytes)
  await assert.rejects(
    convert('relu', 'x', { for: 'llama.cpp' }),
    (e: unknown) =>
      VeritError.is(e, 'VERIT_USAGE') &&
      /computes SiLU, which is another model\. Run the file with microsoft\/BitNet/.test(e.message)
  )
  await assert.rejects(convert('silu', 'x', { for: 'llama.cpp', ternary: 'I2_S' }), /llama\.cpp does not read I2_S/)
  await write('gpt', gpt(bytes), bytes)
  await convert('gpt', 'gpt-llama', { for: 'llama.cpp' })
})

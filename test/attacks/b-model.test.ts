/**
 * Class B: files whose container is sound and whose content makes no sense as a model. Each is refused before a weight
 * is used, in one sentence that names it.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { writeRandomModel } from '../../src/bench/random-model.ts'
import { openExecutor } from '../../src/exec/index.ts'
import { parseGguf } from '../../src/formats/gguf-reader.ts'
import { gguf } from '../../src/formats/gguf-value.ts'
import type { GgufValue } from '../../src/formats/gguf-value.ts'
import { writeGguf } from '../../src/formats/gguf-writer.ts'
import type { GgufTypeName } from '../../src/formats/gguf-types.ts'
import { decodeTernary, encodeTernary } from '../../src/weights/ternary-tensor.ts'
import { VeritError } from '../../src/lib/errors.ts'
import { parseModelConfig } from '../../src/model/config.ts'
import { loadModel } from '../../src/model/load-gguf.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-class-b-'))
after(() => rmSync(folder, { recursive: true }))
const executor = openExecutor({ threads: 1 })
const path = join(folder, 'm.gguf')

interface Tensor {
  name: string
  type: GgufTypeName
  shape: readonly number[]
  data: Uint8Array
}
interface Parts {
  metadata: Map<string, GgufValue>
  tensors: Tensor[]
}

async function model(kind: 'gpt' | 'bitnet'): Promise<Buffer> {
  await writeRandomModel(
    path,
    executor,
    kind === 'gpt'
      ? parseModelConfig({ kind, layers: 1, hidden: 16, heads: 2, ffn: 32, context: 32, vocab: 260, bias: true })
      : parseModelConfig({ kind, layers: 1, hidden: 32, heads: 4, kvHeads: 2, ffn: 64, context: 32, vocab: 260 })
  )
  return readFileSync(path)
}
const files = { gpt: await model('gpt'), bitnet: await model('bitnet') }

/** The file with a change made to its parts, written anew: its container is sound. */
function changed(kind: 'gpt' | 'bitnet', change: (parts: Parts) => void): Buffer {
  const file = parseGguf(files[kind])
  const parts: Parts = {
    metadata: new Map(file.metadata.entries),
    tensors: file.tensors.map(({ name, type, shape }) => ({ name, type, shape, data: file.readTensor(name) }))
  }
  change(parts)
  writeGguf(path, { metadata: [...parts.metadata], tensors: parts.tensors })
  return readFileSync(path)
}

async function refused(expected: RegExp, kind: 'gpt' | 'bitnet', change: (parts: Parts) => void): Promise<void> {
  const allocated: number[] = []
  const file = parseGguf(changed(kind, change), 'x.gguf')
  await assert.rejects(
    loadModel(file, {
      ...executor,
      allocate: (bytes, sparse) => (allocated.push(bytes), executor.allocate(bytes, sparse))
    }),
    (e: unknown) => {
      assert.ok(VeritError.is(e) && e.code !== 'VERIT_INTERNAL', String(e))
      assert.match(e.message, expected)
      return true
    }
  )
  assert.ok(
    allocated.every(bytes => bytes < 2 ** 20),
    'memory for what the bytes of the file hold'
  )
}
const set =
  (key: string, value: GgufValue) =>
  (p: Parts): void =>
    void p.metadata.set(key, value)
const tokens =
  (change: (list: string[]) => void) =>
  (p: Parts): void => {
    const list = [...(p.metadata.get('tokenizer.ggml.tokens') as { value: readonly string[] }).value]
    change(list)
    p.metadata.set('tokenizer.ggml.tokens', gguf.strings(list))
  }
const tensor = (p: Parts, name: string): Tensor => p.tensors.find(t => t.name === name)!

test('a sound model of each kind is loaded', async () => {
  for (const kind of ['gpt', 'bitnet'] as const)
    assert.equal((await loadModel(parseGguf(changed(kind, () => {})), executor)).config.kind, kind)
})

test('B1 byte tokens of other tokenizers, with signed hexadecimal too, load as unused tokens', async () => {
  for (const text of ['<0x41>', '<0x-1>', '<0x+F>', '<0xFFFFFFFFFFFF>', '<0x>']) {
    const file = parseGguf(
      changed('gpt', p => {
        tokens(list => void (list[3] = text))(p)
        const types = [...(p.metadata.get('tokenizer.ggml.token_type') as { value: Int32Array }).value]
        types[3] = 6
        p.metadata.set('tokenizer.ggml.token_type', gguf.i32s(types))
      }),
      'x.gguf'
    )
    const { tokenizer } = await loadModel(file, executor)
    assert.deepEqual([...tokenizer.unused], [3])
  }
  await refused(/of the kind "t5"/, 'gpt', set('tokenizer.ggml.model', gguf.string('t5')))
  await refused(/scores is missing/, 'gpt', set('tokenizer.ggml.model', gguf.string('llama')))
  await refused(
    /no token stands for the byte|splits text into characters/,
    'gpt',
    tokens(list => void (list[list.indexOf('A')] = 'AA'))
  )
  await refused(
    /no token stands for the byte|splits text into characters/,
    'gpt',
    tokens(list => void (list[list.indexOf('A')] = '語'))
  )
})

test('B2 a vocabulary of another size than the embedding is refused', async () => {
  await refused(
    /types|260/,
    'gpt',
    tokens(list => void list.push('<|more|>'))
  )
  await refused(/its tokenizer has 261 tokens, its embedding 260/, 'gpt', p => {
    tokens(list => void list.push('<|more|>'))(p)
    p.metadata.delete('tokenizer.ggml.token_type')
  })
  await refused(
    /bitnet-b1\.58\.vocab_size is 261, where the embedding has 260 rows/,
    'bitnet',
    set('bitnet-b1.58.vocab_size', gguf.u32(261))
  )
  await refused(/scores.*has 1 elements for 260 tokens/, 'gpt', set('tokenizer.ggml.scores', gguf.f32s([1])))
})

test('B3 special ids that are no token of the vocabulary are refused, also those that nothing here uses', async () => {
  for (const name of ['bos', 'eos', 'unknown', 'padding', 'separator', 'eot', 'mask', 'fim_pre']) {
    await refused(
      new RegExp(`${name}_token_id is 260, which is not one of the 260 tokens`),
      'gpt',
      set(`tokenizer.ggml.${name}_token_id`, gguf.u32(260))
    )
    await refused(/_token_id is i32 -1, where an integer/, 'gpt', set(`tokenizer.ggml.${name}_token_id`, gguf.i32(-1)))
  }
  await refused(/where an integer/, 'gpt', set('tokenizer.ggml.eos_token_id', gguf.string('0')))
})

test('B4 merges that reference missing tokens or join none are refused', async () => {
  for (const merge of ['A zz', 'zz A', 'A B', 'A', '', ' ', 'A  B', '<|endoftext|> A']) {
    await refused(
      /merge 0 .* does not join two tokens into a third/,
      'gpt',
      set('tokenizer.ggml.merges', gguf.strings([merge]))
    )
  }
})

test('B5 head counts of 0, and those that do not divide, are refused', async () => {
  for (const heads of [0, 3, 17, 1025, 0xffffffff])
    await refused(
      /gpt2\.(attention\.head_count|embedding_length) must/,
      'gpt',
      set('gpt2.attention.head_count', gguf.u32(heads))
    )
  for (const heads of [0, 3, 5, 0xffffffff])
    await refused(
      /bitnet-b1\.58\.attention\.head_count_kv must/,
      'bitnet',
      set('bitnet-b1.58.attention.head_count_kv', gguf.u32(heads))
    )
  await refused(/even width/, 'bitnet', set('bitnet-b1.58.attention.head_count', gguf.u32(32)))
})

test('B6 absurd contexts, layers, widths and rotary bases are refused, and nothing is made for them', async () => {
  const large = gguf.u64(2n ** 62n)
  for (const key of ['context_length', 'block_count', 'embedding_length', 'feed_forward_length']) {
    for (const value of [gguf.u32(0), gguf.u32(0xffffffff), large, gguf.i32(-1)])
      await refused(/./, 'gpt', set(`gpt2.${key}`, value))
  }
  await refused(/there is no tensor blk\.1/, 'gpt', set('gpt2.block_count', gguf.u32(1024)))
  for (const base of [0, -1, NaN, Infinity, 1e30])
    await refused(/bitnet-b1\.58\.rope\.freq_base/, 'bitnet', set('bitnet-b1.58.rope.freq_base', gguf.f32(base)))
  await refused(/rotates a part/, 'bitnet', set('bitnet-b1.58.rope.dimension_count', gguf.u32(2)))
  await refused(/scales its rotary positions/, 'bitnet', set('bitnet-b1.58.rope.scaling.type', gguf.string('yarn')))
  for (const eps of [0, -1, NaN, Infinity])
    await refused(/gpt2\.attention\.layer_norm_epsilon/, 'gpt', set('gpt2.attention.layer_norm_epsilon', gguf.f32(eps)))
})

test('B6 a model that takes more memory than there is is refused before any is taken', async () => {
  const allocate = (): ArrayBuffer => assert.fail('memory was taken')
  for (const kind of ['gpt', 'bitnet'] as const) {
    await assert.rejects(
      loadModel(parseGguf(files[kind]), { ...executor, allocate }, { memory: 10_000 }),
      (e: unknown) => VeritError.is(e, 'VERIT_MEMORY') && /take \d+ bytes, and there are 10000/.test(e.message)
    )
  }
})

test('B7 norms, embeddings and scales that are not finite, and scales that are not positive, are refused', async () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (const name of ['output_norm.weight', 'blk.0.attn_norm.weight', 'blk.0.ffn_up.bias']) {
      await refused(/not a finite number/, 'gpt', p => {
        const t = tensor(p, name)
        t.type = 'F32'
        t.data = new Uint8Array(new Float32Array(t.shape.reduce((a, b) => a * b)).fill(1, 1).fill(bad, 0, 1).buffer)
      })
    }
  }
  const trits = new Int8Array(32 * 32).fill(1)
  for (const scale of [NaN, Infinity, 0, -1]) {
    await refused(/scale/, 'bitnet', p => {
      const t = tensor(p, 'blk.0.attn_q.weight')
      t.type = 'I2_S'
      t.data = encodeTernary('I2_S', trits, Float32Array.of(1))
      new DataView(t.data.buffer).setFloat32(trits.length / 4, scale, true)
    })
  }
})

test('B8 reserved codes of every ternary packing are refused', async () => {
  const trits = new Int8Array(32 * 32).fill(1)
  await refused(/reserved code/, 'bitnet', p => {
    const data = encodeTernary('I2_S', trits, Float32Array.of(1)).fill(0xff, 77, 78)
    Object.assign(tensor(p, 'blk.0.attn_q.weight'), { type: 'I2_S', data })
  })
  for (const type of ['TQ2_0', 'TQ1_0'] as const) {
    let reserved = 0
    for (let byte = 0; byte < 256; byte++) {
      const bytes = encodeTernary(type, new Int8Array(256), Float32Array.of(1))
      bytes[0] = byte
      try {
        decodeTernary(type, bytes, 256, 't')
      } catch (e) {
        assert.ok(VeritError.is(e, 'VERIT_TENSOR'))
        reserved++
      }
    }
    assert.equal(reserved, type === 'TQ2_0' ? 256 - 81 : 256 - 243)
  }
})

test('B9 missing, additional and wrongly shaped tensors are refused', async () => {
  for (const kind of ['gpt', 'bitnet'] as const) {
    for (const { name } of parseGguf(files[kind]).tensors.filter(t => t.name !== 'output_norm.bias')) {
      await refused(
        /there is no tensor/,
        kind,
        p =>
          void p.tensors.splice(
            p.tensors.findIndex(t => t.name === name),
            1
          )
      )
    }
    for (const name of ['blk.1.attn_norm.weight', 'blk.0.attn_norm.scale', 'rope_freqs.weight', 'x']) {
      await refused(
        /it has a tensor/,
        kind,
        p => void p.tensors.push({ name, type: 'F32', shape: [8], data: new Uint8Array(32) })
      )
    }
    await refused(
      /output_norm\.weight is 1 x/,
      kind,
      p => void Object.assign(tensor(p, 'output_norm.weight'), { shape: [1, kind === 'gpt' ? 16 : 32] })
    )
  }
  await refused(
    /it has a tensor output\.weight/,
    'gpt',
    p => void p.tensors.push({ name: 'output.weight', type: 'F32', shape: [8], data: new Uint8Array(32) })
  )
  await refused(
    /output\.weight is 8, where/,
    'bitnet',
    p => void p.tensors.push({ name: 'output.weight', type: 'F32', shape: [8], data: new Uint8Array(32) })
  )
  await refused(
    /of type I8/,
    'gpt',
    p => void Object.assign(tensor(p, 'output_norm.weight'), { type: 'I8', data: new Uint8Array(16) })
  )
})

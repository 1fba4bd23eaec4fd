import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { referenceExecutor } from '../exec/reference.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { parseGguf } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { decodeWeights, encodeWeights } from '../weights/tensor.ts'
import { VeritError } from '../lib/errors.ts'
import { f32ToBf16, f32ToF16 } from '../lib/half.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { parseModelConfig } from './config.ts'
import { exportGguf } from './export-gguf.ts'
import { servingGraph } from './graphs.ts'
import { PlanMemory } from '../exec/plan-memory.ts'
import { initialWeights } from './initialise.ts'
import { loadModel } from './load-gguf.ts'
import type { LoadedModel } from './load-gguf.ts'
import { readTernary } from './read-tensor.ts'
import { fileRows, pickRows, placeRows } from './row-order.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-architectures-'))
after(() => rmSync(folder, { recursive: true }))
const executor = referenceExecutor()
const path = join(folder, 'm.gguf')
const letters = [...'abcdefghijklmnopqrs']
const tokenizer = Tokenizer.fromParts({
  tokens: letters,
  tokenTypes: letters.map(() => 1),
  merges: [],
  pretokenizer: 'character'
})
const shape = {
  kind: 'bitnet',
  layers: 1,
  hidden: 256,
  heads: 4,
  kvHeads: 2,
  ffn: 256,
  context: 16,
  vocab: letters.length
}
const configs = {
  'bitnet-b1.58': parseModelConfig(shape),
  bitnet: parseModelConfig({ ...shape, activation: 'silu', tied: false }),
  llama: parseModelConfig({ ...shape, activation: 'silu', subNorms: false, tied: false })
}
type Architecture = keyof typeof configs

interface Parts {
  metadata: Map<string, GgufValue>
  tensors: { name: string; type: GgufTypeName; shape: readonly number[]; data: Uint8Array }[]
}
const files = {} as Record<Architecture, Buffer>
for (const architecture of Object.keys(configs) as Architecture[]) {
  const weights = initialWeights(configs[architecture], 5)
  await exportGguf(path, executor, configs[architecture], tokenizer, p => weights.get(p.name)!, { name: 'test' })
  files[architecture] = readFileSync(path)
}

function changed(architecture: Architecture, change: (parts: Parts) => void): Buffer {
  const file = parseGguf(files[architecture])
  const parts: Parts = {
    metadata: new Map(file.metadata.entries),
    tensors: file.tensors.map(({ name, type, shape }) => ({ name, type, shape, data: file.readTensor(name) }))
  }
  change(parts)
  writeGguf(path, { metadata: [...parts.metadata], tensors: parts.tensors })
  return readFileSync(path)
}
const load = (architecture: Architecture, change: (parts: Parts) => void): Promise<LoadedModel> =>
  loadModel(parseGguf(changed(architecture, change), 'x.gguf'), executor)
const set =
  (key: string, value: GgufValue) =>
  (p: Parts): void =>
    void p.metadata.set(key, value)
const tensor = (p: Parts, name: string): Parts['tensors'][number] => p.tensors.find(t => t.name === name)!
const refused = (architecture: Architecture, expected: RegExp, change: (parts: Parts) => void): Promise<void> =>
  assert.rejects(load(architecture, change), (e: unknown) => {
    assert.ok(VeritError.is(e) && e.code !== 'VERIT_INTERNAL', String(e))
    assert.match(e.message, expected)
    return true
  })

/** Logits of the token 3 alone. */
async function logits({ config, weights }: LoadedModel): Promise<Float32Array> {
  const { plan, constants } = servingGraph(config, { rows: 1, outputs: 1, cacheRows: 16, sequences: 1 }, weights.form)
  const run = new PlanMemory(executor, plan, { weights: weights.bytes }, constants)
  for (const [name, value] of Object.entries({
    ids: 3,
    positions: 0,
    cacheRow: 0,
    pages: 0,
    sequence: 0,
    length: 1,
    outputRows: 0
  }))
    run.i32(name)[0] = value
  await executor.load(plan).run(run.buffers, { rows: 1, outputs: 1 })
  return run.f32('logits').slice(0, config.vocab)
}

test(
  'the architecture of a file says what gates the feed-forward and which norms there are; its tensors, whether ' +
    'the head is the embedding',
  async () => {
    for (const architecture of Object.keys(configs) as Architecture[]) {
      const { config } = await load(architecture, () => {})
      assert.deepEqual({ ...config, eps: 0 }, { ...configs[architecture], eps: 0 })
    }
    const { config } = await load('bitnet-b1.58', p => {
      p.metadata = new Map(
        [...p.metadata].map(([key, value]) => [key.replace(/^bitnet-b1\.58\./, 'bitnet-25.'), value])
      )
      p.metadata.set('general.architecture', gguf.string('bitnet-25'))
    })
    assert.deepEqual({ ...config, eps: 0 }, { ...configs['bitnet-b1.58'], eps: 0 })
    await refused(
      'llama',
      /has a tensor blk\.0\.attn_sub_norm\.weight/,
      p =>
        void p.tensors.push({
          name: 'blk.0.attn_sub_norm.weight',
          type: 'F32',
          shape: [256],
          data: new Uint8Array(1024)
        })
    )
    await refused(
      'bitnet',
      /no tensor blk\.0\.attn_sub_norm\.weight/,
      p => void (p.tensors = p.tensors.filter(t => t.name !== 'blk.0.attn_sub_norm.weight'))
    )
  }
)

test('options that change nothing are accepted, those that make another model are refused by their key', async () => {
  for (const architecture of ['bitnet', 'llama'] as const) {
    const key = (name: string): string => `${architecture}.${name}`
    await load(architecture, p => {
      for (const name of ['rope.freq_base', 'rope.dimension_count']) p.metadata.delete(key(name))
      for (const [name, value] of [
        ['rope.scaling.type', gguf.string('linear')],
        ['rope.scaling.factor', gguf.f32(1)],
        ['expert_count', gguf.u32(0)],
        ['attention.key_length', gguf.u32(64)]
      ] as const)
        p.metadata.set(key(name), value)
    })
    for (const [name, value] of [
      ['rope.scaling.type', gguf.string('yarn')],
      ['rope.scaling.factor', gguf.f32(2)],
      ['rope.dimension_count', gguf.u32(32)],
      ['attention.key_length', gguf.u32(128)],
      ['expert_count', gguf.u32(8)],
      ['attention.sliding_window', gguf.u32(4096)],
      ['attention.causal', gguf.bool(false)],
      ['logit_scale', gguf.f32(0.5)],
      ['attention.head_count', gguf.u32(0)],
      ['rope.freq_base', gguf.f32(0)]
    ] as const)
      await refused(architecture, new RegExp(name.replaceAll('.', '\\.')), set(key(name), value))
  }
})

test('a factor of a matrix multiplies its scale; one that is not a positive number of one F32 is refused', async () => {
  const add =
    (...values: number[]) =>
    (p: Parts): void =>
      void p.tensors.push({
        name: 'blk.0.ffn_up.scale',
        type: 'F32',
        shape: [values.length],
        data: new Uint8Array(Float32Array.from(values).buffer)
      })
  const [once, twice] = [() => {}, add(2)].map(
    change => readTernary(parseGguf(changed('bitnet', change)), 'blk.0.ffn_up.weight').scale
  ) as [number, number]
  assert.equal(twice, 2 * once)
  const plain = await logits(await load('llama', () => {}))
  const same = await logits(await load('llama', add(1)))
  const other = await logits(await load('llama', add(3)))
  assert.deepEqual(same, plain)
  assert.notDeepEqual(other, plain)
  for (const bad of [0, -1, NaN, Infinity]) await refused('llama', /blk\.0\.ffn_up\.scale/, add(bad))
  await refused('llama', /blk\.0\.ffn_up\.scale is F32 2/, add(1, 1))
})

test('embeddings and heads of every type keep their format and give the logits of their values', async () => {
  const encode = (type: GgufTypeName, values: Float32Array): Uint8Array =>
    type === 'F16' || type === 'BF16'
      ? new Uint8Array((type === 'F16' ? f32ToF16 : f32ToBf16)(values).buffer)
      : encodeWeights(type as 'Q8_0' | 'Q6_K', values, 't')
  for (const [embedding, head, form] of [
    ['F16', 'Q8_0', { embedding: 'f16', head: 'q8_0' }],
    ['Q8_0', 'Q6_K', { embedding: 'q8_0', head: 'q6_k' }],
    ['Q6_K', 'F16', { embedding: 'q6_k', head: 'f16' }],
    ['BF16', 'BF16', { embedding: 'bf16', head: 'bf16' }]
  ] as const) {
    const repack =
      (values: boolean) =>
      (p: Parts): void => {
        for (const [name, type] of [
          ['token_embd.weight', embedding],
          ['output.weight', head]
        ] as const) {
          const t = tensor(p, name)
          const packed = encode(type, new Float32Array(t.data.slice().buffer))
          Object.assign(
            t,
            values
              ? {
                  data: new Uint8Array(decodeWeights(type, packed, new Float32Array(letters.length * 256), name).buffer)
                }
              : { type, data: packed }
          )
        }
      }
    const packed = await load('llama', repack(false))
    const plain = await load('llama', repack(true))
    const names = ['token_embedding', 'head.weight'].map(name => packed.weights.form.get(name)!.name)
    assert.deepEqual(names, [form.embedding, form.head])
    const [got, want] = [await logits(packed), await logits(plain)]
    const size = Math.max(...want.map(Math.abs))
    for (const [i, x] of got.entries())
      assert.ok(Math.abs(x - want[i]!) < 2e-4 * size, `${embedding} ${head}: ${x} ${want[i]}`)
  }
})

test('rows of queries and keys in a llama file stand as llama.cpp permutes them, and no others', () => {
  const config = configs.llama
  const heads = { attn_q: 4, attn_k: 2 }
  for (const [name, n] of Object.entries(heads)) {
    // numpy: rows.reshape(heads, 2, 32).swapaxes(1, 2).reshape(-1)
    const permuted = Array.from({ length: n }, (_, h) =>
      Array.from({ length: 32 }, (_, i) => [0, 1].map(j => h * 64 + j * 32 + i))
    ).flat(2)
    const order = fileRows(config, `blocks.0.${name}.weight`)!
    const ours = Uint8Array.from({ length: n * 64 * 2 }, (_, i) => i >> 1)
    assert.deepEqual(
      [...placeRows(ours, order, 2)].filter((_, i) => i % 2 === 0),
      permuted
    )
    assert.deepEqual(pickRows(placeRows(ours, order, 2), order, 2), ours)
  }
  for (const name of ['attn_v', 'attn_out', 'mlp_up'])
    assert.equal(fileRows(config, `blocks.0.${name}.weight`), undefined)
  assert.equal(fileRows(configs.bitnet, 'blocks.0.attn_q.weight'), undefined)
})

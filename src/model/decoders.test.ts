/** Files of the decoders that other programs write: what is read of them, and which are refused. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { frequencies, interleavedRows, rotaryTable } from '../arch/rotary.ts'
import { referenceExecutor } from '../exec/reference.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { parseGguf } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { writeGguf } from '../formats/gguf-writer.ts'
import { VeritError } from '../lib/errors.ts'
import { Tokenizer } from '../tokenizer/tokenizer.ts'
import { architecture, parseModelConfig } from './config.ts'
import type { ModelConfig } from './config.ts'
import { exportGguf } from './export-gguf.ts'
import { readConfig } from './gguf-config.ts'
import { initialWeights } from './initialise.ts'
import { tensorFaults } from './load-gguf.ts'
import { parametersOf } from './parameters.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-decoders-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'm.gguf')
const letters = [...'abcdefghijklmnopqrs']
const tokenizer = Tokenizer.fromParts({
  tokens: letters,
  tokenTypes: letters.map(() => 1),
  merges: [],
  pretokenizer: 'character'
})

const shape = {
  layers: 2,
  hidden: 32,
  heads: 4,
  kvHeads: 2,
  ffn: 48,
  context: 64,
  vocab: letters.length,
  eps: Math.fround(1e-5)
}
const experts = { experts: 4, expertsUsed: 2, expertFfn: 16 }
/** What each kind adds to the shape. */
const kinds: Record<string, Record<string, unknown>> = {
  llama: { tied: false, ropeDivisors: [1, 1, 2, 8], biases: ['attn_q', 'attn_output'] },
  qwen2: {},
  qwen3: { headDim: 16 },
  qwen3moe: experts,
  gemma2: { window: 8 },
  gemma3: { window: 8, headDim: 16, ropeScaling: 'linear', ropeFactor: 8 },
  phi3: { ropeDim: 6, ropeOriginalContext: 16, ropeDivisorsLong: [1, 2, 3], ropeDivisorsShort: [1, 1, 1] },
  smollm3: {},
  granite: { embeddingScale: 12, residualScale: Math.fround(0.22), logitScale: 4, attentionScale: 0.125 },
  mistral3: {
    ropeScaling: 'yarn',
    ropeFactor: 16,
    ropeOriginalContext: 16,
    temperatureScale: Math.fround(0.1),
    yarnLogMultiplier: 1
  },
  olmo2: { tied: false },
  gpt2: { kvHeads: 4 },
  starcoder2: { biases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'] },
  stablelm: { ropeDim: 2 },
  lfm2: { convWidth: 3, attentionLayers: [1] }
}

interface Parts {
  metadata: Map<string, GgufValue>
  tensors: { name: string; type: GgufTypeName; shape: readonly number[]; data: Uint8Array }[]
}
const files: Record<string, Buffer> = {}
const configs: Record<string, ModelConfig> = {}
for (const [kind, more] of Object.entries(kinds)) {
  const config = parseModelConfig({ kind, ...shape, ...more })
  const weights = initialWeights(config, 5)
  await exportGguf(path, referenceExecutor(), config, tokenizer, p => weights.get(p.name)!, { name: 'test' })
  files[kind] = readFileSync(path)
  configs[kind] = config
}

/** Reads the configuration of a changed file, and looks at its tensors. */
function read(kind: string, change: (parts: Parts) => void): ModelConfig {
  const file = parseGguf(files[kind]!)
  const parts: Parts = {
    metadata: new Map(file.metadata.entries),
    tensors: file.tensors.map(({ name, type, shape: of }) => ({ name, type, shape: of, data: file.readTensor(name) }))
  }
  change(parts)
  writeGguf(path, { metadata: [...parts.metadata], tensors: parts.tensors })
  const changed = parseGguf(readFileSync(path), 'x.gguf')
  const config = readConfig(changed)
  for (const fault of tensorFaults(changed, config, parametersOf(config))) throw fault
  return config
}

function refused(kind: string, expected: RegExp, change: (parts: Parts) => void): void {
  assert.throws(
    () => read(kind, change),
    (e: unknown) => {
      assert.ok(VeritError.is(e) && e.code !== 'VERIT_INTERNAL', String(e))
      assert.match(e.message, expected)
      return true
    }
  )
}
const set =
  (key: string, value: GgufValue) =>
  (p: Parts): void =>
    void p.metadata.set(key, value)
const vector = (name: string, ...values: number[]): Parts['tensors'][number] => ({
  name,
  type: 'F32',
  shape: [values.length],
  data: new Uint8Array(Float32Array.from(values).buffer)
})

test('a file of each architecture describes the model that was written', () => {
  for (const [kind, config] of Object.entries(configs))
    assert.deepEqual(
      read(kind, () => {}),
      config,
      kind
    )
  for (const config of Object.values(configs))
    assert.deepEqual(parseModelConfig(JSON.parse(JSON.stringify(config))), config)
})

test('an architecture that Verit does not run is refused by its name, with a list of those that it runs', () => {
  for (const name of ['qwen35', 'gemma4', 'gpt-oss', 'mamba', 'constructor', '__proto__']) {
    refused(
      'llama',
      new RegExp(`architecture is "${name}"; Verit runs bitnet, .*, llama, .*qwen3moe`),
      set('general.architecture', gguf.string(name))
    )
  }
})

test('every hyperparameter that cannot be is refused by its key', () => {
  const numbers = [
    'block_count',
    'embedding_length',
    'attention.head_count',
    'attention.head_count_kv',
    'attention.key_length',
    'context_length'
  ]
  for (const kind of ['llama', 'gpt2', 'lfm2']) {
    for (const name of numbers) {
      for (const value of [gguf.u32(0), gguf.u32(0xffffffff), gguf.u64(2n ** 40n), gguf.i32(-1)]) {
        refused(kind, new RegExp(`${kind}\\.${name.replaceAll('.', '\\.')}`), set(`${kind}.${name}`, value))
      }
    }
    const eps = kind === 'gpt2' ? 'attention.layer_norm_epsilon' : 'attention.layer_norm_rms_epsilon'
    for (const value of [0, -1, NaN, Infinity])
      refused(kind, /norm_(rms_)?epsilon/, set(`${kind}.${eps}`, gguf.f32(value)))
  }
  for (const [kind, name, ...values] of [
    ['llama', 'rope.freq_base', gguf.f32(0), gguf.f32(NaN), gguf.f32(1e30)],
    ['llama', 'rope.dimension_count', gguf.u32(0), gguf.u32(6), gguf.u32(10)],
    ['llama', 'rope.scaling.factor', gguf.f32(NaN), gguf.f32(-1), gguf.f32(Infinity)],
    ['llama', 'rope.scaling.type', gguf.string('longrope'), gguf.string('su')],
    ['llama', 'rope.scaling.attn_factor', gguf.f32(0), gguf.f32(NaN)],
    ['llama', 'expert_count', gguf.u32(1_000_000)],
    ['qwen3moe', 'expert_count', gguf.u32(0), gguf.u32(1_000_000)],
    ['qwen3moe', 'expert_used_count', gguf.u32(0), gguf.u32(5)],
    ['qwen3moe', 'expert_feed_forward_length', gguf.u32(0), gguf.u32(0xffffffff)],
    ['qwen3moe', 'expert_gating_func', gguf.u32(2)],
    ['qwen3moe', 'expert_weights_norm', gguf.bool(false)],
    ['gemma2', 'attention.sliding_window', gguf.u64(2n ** 40n)],
    ['gemma2', 'attn_logit_softcapping', gguf.f32(NaN), gguf.f32(-1)],
    ['gemma3', 'rope.freq_base_swa', gguf.f32(NaN), gguf.f32(0)],
    ['granite', 'logit_scale', gguf.f32(-1), gguf.f32(Infinity)],
    ['granite', 'rope.scaling.finetuned', gguf.bool(false)],
    ['mistral3', 'rope.scaling.original_context_length', gguf.u32(0)],
    ['mistral3', 'rope.scaling.yarn_beta_fast', gguf.f32(0)],
    ['lfm2', 'shortconv.l_cache', gguf.u32(0), gguf.u32(1000)],
    ['lfm2', 'attention.head_count_kv', gguf.i32s([0, 2, 0]), gguf.i32s([2, 1]), gguf.i32s([0, 0]), gguf.i32s([0, -2])],
    ['qwen3', 'attention.head_count', gguf.i32s([4, 2]), gguf.i32s([4])],
    ['qwen3', 'attention.value_length', gguf.u32(8)],
    ['stablelm', 'use_parallel_residual', gguf.bool(true)]
  ] as const) {
    for (const value of values)
      refused(kind, new RegExp(`${kind}\\.${name.replaceAll('.', '\\.')}`), set(`${kind}.${name}`, value as GgufValue))
  }
})

test('a key that would change a model is refused where its architecture does not use it', () => {
  for (const [name, value] of [
    ['attention.sliding_window', gguf.u32(8)],
    ['attn_logit_softcapping', gguf.f32(50)],
    ['final_logit_softcapping', gguf.f32(30)],
    ['logit_scale', gguf.f32(0.5)],
    ['residual_scale', gguf.f32(0.2)],
    ['embedding_scale', gguf.f32(12)],
    ['attention.clamp_kqv', gguf.f32(8)],
    ['attention.causal', gguf.bool(false)],
    ['expert_count', gguf.u32(8)],
    ['attention.temperature_scale', gguf.f32(0.1)]
  ] as const)
    refused('qwen2', new RegExp(`qwen2\\.${name.replaceAll('.', '\\.')}`), set(`qwen2.${name}`, value))
  // These change nothing.
  for (const [name, value] of [
    ['attention.sliding_window', gguf.u32(64)],
    ['logit_scale', gguf.f32(1)],
    ['expert_count', gguf.u32(0)],
    ['rope.scaling.type', gguf.string('none')]
  ] as const)
    assert.deepEqual(read('qwen2', set(`qwen2.${name}`, value)), configs['qwen2'])
})

test('a tensor that would be left out is refused by its name, and so are divisors that cannot be', () => {
  refused(
    'qwen3',
    /has a tensor blk\.0\.attn_q\.bias/,
    p => void p.tensors.push(vector('blk.0.attn_q.bias', ...Array<number>(64).fill(0)))
  )
  refused('qwen2', /has a tensor rope_freqs\.weight/, p => void p.tensors.push(vector('rope_freqs.weight', 1, 1, 1, 1)))
  refused(
    'llama',
    /no tensor blk\.1\.attn_q\.bias/,
    p => void (p.tensors = p.tensors.filter(t => t.name !== 'blk.1.attn_q.bias'))
  )
  const divisors =
    (...values: number[]) =>
    (p: Parts): void =>
      void (p.tensors = [
        ...p.tensors.filter(t => t.name !== 'rope_freqs.weight'),
        vector('rope_freqs.weight', ...values)
      ])
  for (const bad of [
    [1, 1, 1],
    [1, 1, 1, 0],
    [1, 1, 1, -1],
    [1, 1, NaN, 1],
    [Infinity, 1, 1, 1]
  ])
    refused('llama', /rope_freqs\.weight/, divisors(...bad))
  refused(
    'phi3',
    /rope_factors_short|ropeDivisorsLong|rope_factors_long/,
    p => void (p.tensors = p.tensors.filter(t => t.name !== 'rope_factors_short.weight'))
  )
})

test('each layer says what it keeps of earlier positions', () => {
  assert.deepEqual(architecture(configs['lfm2']!).caches(configs['lfm2']!), [
    { kind: 'conv', width: 32 },
    { kind: 'attention', kvHeads: 2, headDim: 8 }
  ])
  assert.deepEqual(
    architecture(configs['qwen3']!).caches(configs['qwen3']!),
    Array(2).fill({ kind: 'attention', kvHeads: 2, headDim: 16 })
  )
})

test('rotary frequencies follow divisors, a linear factor and YaRN', () => {
  const plain = [...frequencies({ theta: 10_000, dim: 8 })]
  for (const [i, f] of plain.entries()) assert.ok(Math.abs(f / 10_000 ** (-i / 4) - 1) < 1e-14)
  assert.deepEqual(
    [...frequencies({ theta: 10_000, dim: 8, divisors: [1, 2, 4, 8], factor: 2 })],
    plain.map((f, i) => f / 2 ** i / 2)
  )
  // YaRN of 64 elements from 4,096 positions: pairs of more than 32 turns keep their frequency, those of less than one
  // are divided.
  const yarn = { originalContext: 4096, betaFast: 32, betaSlow: 1, extFactor: 1 }
  const [whole, scaled] = [
    frequencies({ theta: 10_000, dim: 64 }),
    frequencies({ theta: 10_000, dim: 64, factor: 4, yarn })
  ]
  const [low, high] = [
    Math.floor((32 * Math.log(4096 / (64 * Math.PI))) / Math.log(10_000)),
    Math.ceil((32 * Math.log(4096 / (2 * Math.PI))) / Math.log(10_000))
  ]
  for (const [i, f] of scaled.entries()) {
    const kept = 1 - Math.min(1, Math.max(0, (i - low) / (high - low)))
    assert.ok(Math.abs(f / (whole[i]! * (kept + (1 - kept) / 4)) - 1) < 1e-12, `pair ${i}`)
  }
  const { cos } = rotaryTable({ theta: 10_000, dim: 4, magnitude: 2 }, 3, p => p + 1)
  assert.deepEqual(
    [...cos],
    [2, 2, 4 * Math.cos(1), 4 * Math.cos(0.01), 6 * Math.cos(2), 6 * Math.cos(0.02)].map(Math.fround)
  )
})

test('neighbours become halves within the part of a head that is rotated', () => {
  assert.deepEqual([...interleavedRows(2, 6, 4)], [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11])
})

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { byteTokenizer } from '../bench/random-model.ts'
import { referenceExecutor } from '../exec/reference.ts'
import { writeSafetensors } from '../formats/safetensors.ts'
import type { SafetensorsInput } from '../formats/safetensors.ts'
import { VeritError } from '../lib/errors.ts'
import { bf16ToF32, f32ToBf16 } from '../lib/half.ts'
import { ternarize } from './export-gguf.ts'
import { tokenizerEntries } from './gguf-tokenizer.ts'
import { noClaims } from './conversation.ts'
import type { BitnetConfig } from './config.ts'
import { HfSource } from './hf-source.ts'
import type { FolderTokenizer } from './hf-source.ts'
import { parametersOf } from './parameters.ts'

const folder = mkdtempSync(join(tmpdir(), 'verit-hf-'))
after(() => rmSync(folder, { recursive: true }))

type Config = Record<string, unknown>
type Tensors = Map<string, SafetensorsInput>
const config: Config = {
  model_type: 'bitnet',
  vocab_size: 260,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  hidden_act: 'relu2',
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  rope_parameters: { rope_theta: 10000, rope_type: 'default' },
  bos_token_id: 1,
  eos_token_id: [2, 3],
  quantization_config: { quant_method: 'bitnet', linear_class: 'bitlinear', quantization_mode: 'offline' }
}
const matrices = {
  'self_attn.q_proj': [16, 16],
  'self_attn.k_proj': [8, 16],
  'self_attn.v_proj': [8, 16],
  'self_attn.o_proj': [16, 16],
  'mlp.gate_proj': [24, 16],
  'mlp.up_proj': [24, 16],
  'mlp.down_proj': [16, 24]
} as const
const f32 = (shape: readonly number[], value: (i: number) => number): SafetensorsInput => ({
  dtype: 'F32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i))
})
const trit = (i: number): number => (((i * i + 3 * i) % 7) % 3) - 1

/** A folder as transformers writes it, after a change. */
function make(change: (config: Config, tensors: Tensors) => void = () => {}): string {
  const tensors: Tensors = new Map([
    ['model.embed_tokens.weight', f32([260, 16], i => Math.sin(i))],
    ['model.norm.weight', f32([16], () => 1)]
  ])
  for (const [norm, width] of [
    ['input_layernorm', 16],
    ['post_attention_layernorm', 16],
    ['self_attn.attn_sub_norm', 16],
    ['mlp.ffn_sub_norm', 24]
  ] as const)
    tensors.set(
      `model.layers.0.${norm}.weight`,
      f32([width], () => 1)
    )
  for (const [name, [out, inputs]] of Object.entries(matrices)) {
    const rows = out / 4
    const data = new Uint8Array(rows * inputs)
    for (let i = 0; i < out * inputs; i++) data[i % data.length]! |= (trit(i) + 1) << (2 * Math.floor(i / data.length))
    tensors.set(`model.layers.0.${name}.weight`, { dtype: 'U8', shape: [rows, inputs], data })
    tensors.set(
      `model.layers.0.${name}.weight_scale`,
      f32([1], () => 8)
    )
  }
  const made = structuredClone(config)
  change(made, tensors)
  const path = join(folder, String(Math.random()))
  mkdirSync(path)
  writeFileSync(join(path, 'config.json'), JSON.stringify(made))
  writeSafetensors(join(path, 'model.safetensors'), tensors)
  return path
}
const entries: FolderTokenizer = {
  entries: tokenizerEntries(byteTokenizer(260)),
  tokenizer: byteTokenizer(260),
  claims: noClaims
}
const matrix = (source: HfSource, name = 'blocks.0.mlp_down.weight') =>
  source.ternary(parametersOf(source.config).find(p => p.name === name)!)
const quantization = (c: Config): Config => c['quantization_config'] as Config

test('packed weights are unpacked across rows; the class says whether their scale divides or multiplies', () => {
  using source = new HfSource(make(), entries)
  const { trits, scale } = matrix(source)
  assert.deepEqual(
    [...trits],
    Array.from({ length: 16 * 24 }, (_, i) => trit(i))
  )
  assert.equal(scale, 1 / 8)
  using other = new HfSource(
    make(c => void (quantization(c)['linear_class'] = 'autobitlinear')),
    entries
  )
  assert.equal(matrix(other).scale, 8)
  assert.deepEqual(other.config, { ...source.config })
  assert.deepEqual(
    source.entries.filter(([key]) => /bos_token_id|eos_token_id/.test(key)).map(([key, v]) => [key, v.value]),
    [
      ['tokenizer.ggml.bos_token_id', 1],
      ['tokenizer.ggml.eos_token_id', 2]
    ]
  )
})

test(
  'latent weights are ternarised to the bits of the forward pass, ternary ones in floating point are taken as ' +
    'they are',
  async () => {
    const latent = Float32Array.from({ length: 16 * 24 }, (_, i) => Math.sin(i * 7) / 50)
    const bits = f32ToBf16(latent)
    const set =
      (data: Uint16Array) =>
      (_: Config, t: Tensors): void => {
        t.set('model.layers.0.mlp.down_proj.weight', { dtype: 'BF16', shape: [16, 24], data })
      }
    using source = new HfSource(
      make((c, t) => {
        set(bits)(c, t)
        quantization(c)['quantization_mode'] = 'online'
      }),
      entries
    )
    const p = parametersOf(source.config).find(p => p.name === 'blocks.0.mlp_down.weight')!
    assert.deepEqual(source.ternary(p), await ternarize(referenceExecutor(), p, bf16ToF32(bits)))
    using offline = new HfSource(make(set(f32ToBf16(Float32Array.from(latent, (_, i) => trit(i))))), entries)
    assert.deepEqual(
      [...offline.ternary(p).trits],
      Array.from(latent, (_, i) => trit(i))
    )
    assert.equal(offline.ternary(p).scale, 1 / 8)
    using neither = new HfSource(make(set(bits)), entries)
    assert.throws(() => neither.ternary(p), /values besides -1, 0 and 1/)
  }
)

test('a Llama without inner norms and with a head of its own, and the names of 1bitLLM, are read', () => {
  using llama = new HfSource(
    make((c, t) => {
      Object.assign(c, { model_type: 'llama', hidden_act: 'silu', tie_word_embeddings: false })
      t.set(
        'lm_head.weight',
        f32([260, 16], i => i)
      )
      t.delete('model.layers.0.self_attn.attn_sub_norm.weight')
      t.delete('model.layers.0.mlp.ffn_sub_norm.weight')
    }),
    entries
  )
  const { activation, subNorms, tied } = llama.config as BitnetConfig
  assert.deepEqual([activation, subNorms, tied], ['silu', false, false])
  using old = new HfSource(
    make((_, t) => {
      for (const [from, to] of [
        ['self_attn.attn_sub_norm', 'self_attn.inner_attn_ln'],
        ['mlp.ffn_sub_norm', 'mlp.ffn_layernorm']
      ]) {
        t.set(`model.layers.0.${to}.weight`, t.get(`model.layers.0.${from}.weight`)!)
        t.delete(`model.layers.0.${from}.weight`)
      }
    }),
    entries
  )
  assert.equal((old.config as BitnetConfig).subNorms, true)
})

test('a configuration that means another model, and tensors that do not fit it, are refused by name', () => {
  const cases: [RegExp, (c: Config, t: Tensors) => void][] = [
    [/model_type is "rwkv"/, c => void (c['model_type'] = 'rwkv')],
    [/quantization_config is given, and quantised weights are not supported/, c => void (c['model_type'] = 'qwen2')],
    [/hidden_act is "gelu"/, c => void (c['hidden_act'] = 'gelu')],
    [/attention_bias is true/, c => void (c['attention_bias'] = true)],
    [/rope_scaling/, c => void (c['rope_scaling'] = { factor: 8 })],
    [
      /rope_parameters\.rope_type is "llama3"/,
      c => void (c['rope_parameters'] = { rope_theta: 1e4, rope_type: 'llama3' })
    ],
    [/rope_theta is missing/, c => void delete c['rope_parameters']],
    [/quant_method is "awq"/, c => void (quantization(c)['quant_method'] = 'awq')],
    [/use_rms_norm is true/, c => void (quantization(c)['use_rms_norm'] = true)],
    [/tie_word_embeddings is false, and there is no tensor lm_head/, c => void (c['tie_word_embeddings'] = false)],
    [/head_dim is 64/, c => void (c['head_dim'] = 64)],
    [/heads must be a whole number/, c => void (c['num_attention_heads'] = 0)],
    [/hidden_size is missing/, c => void delete c['hidden_size']],
    [
      /its tokenizer has 260 tokens, its embedding 256/,
      (c, t) => {
        c['vocab_size'] = 256
        t.set(
          'model.embed_tokens.weight',
          f32([256, 16], () => 1)
        )
      }
    ],
    [/no tensor model\.layers\.0\.mlp\.up_proj\.weight/, (_, t) => void t.delete('model.layers.0.mlp.up_proj.weight')],
    [
      /has a tensor x,/,
      (_, t) =>
        void t.set(
          'x',
          f32([1], () => 1)
        )
    ],
    [/no tensor .*up_proj\.weight_scale/, (_, t) => void t.delete('model.layers.0.mlp.up_proj.weight_scale')],
    [
      /up_proj\.weight: it is 24 x 16, where 6 x 16/,
      (_, t) =>
        void t.set('model.layers.0.mlp.up_proj.weight', { dtype: 'U8', shape: [24, 16], data: new Uint8Array(24 * 16) })
    ],
    [
      /norm\.weight: it is packed/,
      (_, t) => void t.set('model.norm.weight', { dtype: 'U8', shape: [4], data: new Uint8Array(4) })
    ]
  ]
  for (const [words, change] of cases) {
    const path = make(change)
    assert.throws(
      () => new HfSource(path, entries),
      (e: unknown) => VeritError.is(e) && e.code !== 'VERIT_INTERNAL' && words.test(e.message),
      String(words)
    )
  }
  for (const [text, words] of [
    ['{"model_type":"bitnet","model_type":"llama"}', /config\.json .*appears twice/],
    ['[]', /its content is not an object/],
    ['{', /config\.json/],
    ['\xff', /another encoding than UTF-8/]
  ] as const) {
    const path = make()
    writeFileSync(join(path, 'config.json'), Buffer.from(text, 'latin1'))
    assert.throws(
      () => new HfSource(path, entries),
      (e: unknown) => VeritError.is(e, 'VERIT_MODEL_FILE') && words.test(e.message),
      text
    )
  }
  const norm = new Map([['model.norm.weight', f32([16], () => 1)]])
  const both = make()
  writeSafetensors(join(both, 'model-00001-of-00002.safetensors'), norm)
  assert.throws(() => new HfSource(both, entries), /both model\.safetensors and parts of a model/)
  const parts = make()
  renameSync(join(parts, 'model.safetensors'), join(parts, 'model-00001-of-00002.safetensors'))
  assert.throws(() => new HfSource(parts, entries), /its part model-00002-of-00002\.safetensors is missing/)
  writeSafetensors(join(parts, 'model-00002-of-00002.safetensors'), norm)
  assert.throws(() => new HfSource(parts, entries), /two of its files have a tensor model\.norm\.weight/)
  assert.throws(
    () => new HfSource(join(folder, 'none'), entries),
    (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND')
  )
  for (const scale of [0, -1, NaN, Infinity]) {
    using source = new HfSource(
      make(
        (_, t) =>
          void t.set(
            'model.layers.0.mlp.down_proj.weight_scale',
            f32([1], () => scale)
          )
      ),
      entries
    )
    assert.throws(
      () => matrix(source),
      (e: unknown) => VeritError.is(e) && /weight_scale/.test(e.message),
      String(scale)
    )
  }
  using reserved = new HfSource(
    make((_, t) => void ((t.get('model.layers.0.mlp.down_proj.weight')!.data as Uint8Array)[5] = 0xff)),
    entries
  )
  assert.throws(() => matrix(reserved), /reserved code in byte 5/)
})

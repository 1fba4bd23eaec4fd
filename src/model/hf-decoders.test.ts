/**
 * Folders of transformers with models of other architectures: the files made of them are those that llama.cpp's
 * converter made.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { HfPart } from '../arch/architecture.ts'
import { byteTokenizer } from '../bench/random-model.ts'
import { openGguf } from '../formats/gguf-reader.ts'
import { writeSafetensors } from '../formats/safetensors.ts'
import type { SafetensorsInput } from '../formats/safetensors.ts'
import { VeritError } from '../lib/errors.ts'
import { architecture } from './config.ts'
import { convertModel } from './convert.ts'
import { noClaims } from './conversation.ts'
import { ggufName, readConfig } from './gguf-config.ts'
import { tokenizerEntries } from './gguf-tokenizer.ts'
import { HfSource } from './hf-source.ts'
import { parametersOf } from './parameters.ts'
import { readFloats } from './read-tensor.ts'
import { fileRows, pickRows } from './row-order.ts'

const fixtures = fileURLToPath(new URL('../../test/fixtures/models', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'verit-hf-decoders-'))
after(() => rmSync(folder, { recursive: true }))
const tokenizer = byteTokenizer(512)
const described = { entries: tokenizerEntries(tokenizer), tokenizer, claims: noClaims }

const common = {
  vocab_size: 512,
  max_position_embeddings: 256,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  hidden_act: 'silu'
}
const rope = (theta: number): object => ({ rope_parameters: { rope_theta: theta, rope_type: 'default' } })
const gemma = { hidden_act: undefined, hidden_activation: 'gelu_pytorch_tanh', sliding_window: 16 }
/** What config.json adds, as transformers writes it. */
const models: Record<string, object> = {
  llama: {
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_parameters: {
      rope_type: 'llama3',
      rope_theta: 500_000,
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 64
    }
  },
  qwen2: rope(1_000_000),
  qwen3: { head_dim: 32, ...rope(1_000_000) },
  gemma2: {
    ...gemma,
    head_dim: 16,
    query_pre_attn_scalar: 16,
    attn_logit_softcapping: 50,
    final_logit_softcapping: 30,
    ...rope(10_000)
  },
  gemma3: {
    ...gemma,
    model_type: 'gemma3_text',
    num_hidden_layers: 7,
    head_dim: 32,
    query_pre_attn_scalar: 32,
    layer_types: Array.from({ length: 7 }, (_, l) => (l % 6 < 5 ? 'sliding_attention' : 'full_attention')),
    rope_parameters: {
      full_attention: { rope_theta: 1_000_000, rope_type: 'default' },
      sliding_attention: { rope_theta: 10_000, rope_type: 'default' }
    }
  },
  phi3: { partial_rotary_factor: 0.75, tie_word_embeddings: false, ...rope(10_000) },
  smollm3: rope(2_000_000),
  granite: {
    embedding_multiplier: 12,
    attention_multiplier: 0.03,
    residual_multiplier: 0.22,
    logits_scaling: 4,
    ...rope(10_000)
  },
  olmo2: { tie_word_embeddings: false, ...rope(500_000) },
  gpt2: {
    n_layer: 3,
    n_embd: 64,
    n_head: 4,
    n_positions: 256,
    n_inner: null,
    layer_norm_epsilon: 1e-5,
    activation_function: 'gelu_new',
    hidden_act: undefined
  },
  starcoder2: {
    norm_epsilon: 1e-5,
    use_bias: true,
    sliding_window: null,
    hidden_act: 'gelu_pytorch_tanh',
    ...rope(1e4)
  },
  stablelm: {
    layer_norm_eps: 1e-5,
    use_qkv_bias: true,
    tie_word_embeddings: false,
    partial_rotary_factor: 0.25,
    ...rope(10_000)
  },
  lfm2: {
    norm_eps: 1e-5,
    num_hidden_layers: 4,
    conv_L_cache: 3,
    conv_bias: false,
    block_auto_adjust_ff_dim: false,
    layer_types: ['conv', 'full_attention', 'conv', 'full_attention'],
    ...rope(1_000_000)
  }
}

/** A folder with the weights of a fixture, as transformers names and orders them. */
function folderOf(name: string, change: object = {}): string {
  using file = openGguf(join(fixtures, `${name}.gguf`))
  const config = readConfig(file)
  const { hf } = architecture(config)
  const tensors = new Map<string, SafetensorsInput>()
  for (const p of parametersOf(config)) {
    const values = readFloats(file, ggufName(config, p.name))
    const order = fileRows(config, p.name)
    const ours = order === undefined ? values : pickRows(values, order, p.shape[1] ?? 1)
    const [[part]] = hf!.layouts(p) as [[HfPart]]
    const data = ours.map(v => v - hf!.addend(p.name))
    const [rows = 1, columns = 1] = p.shape
    tensors.set(part.name, {
      dtype: 'F32',
      shape: part.shape,
      data: part.transposed === true ? data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!) : data
    })
  }
  const path = join(folder, `${name}-${Math.random()}`)
  mkdirSync(path)
  writeFileSync(join(path, 'config.json'), JSON.stringify({ model_type: name, ...common, ...models[name], ...change }))
  writeSafetensors(join(path, 'model.safetensors'), tensors)
  return path
}

for (const name of Object.keys(models)) {
  test(`a folder with a ${name} model gives the tensors and hyperparameters of the GGUF file`, async () => {
    using source = new HfSource(folderOf(name), described)
    const path = join(folder, `${name}.gguf`)
    await convertModel(source, path)
    using made = openGguf(path)
    using wanted = openGguf(join(fixtures, `${name}.gguf`))
    const [ours, theirs] = [readConfig(made), readConfig(wanted)]
    // Keys that say the default may be left out.
    const plain = (config: object): object => ({
      ...config,
      ropeDivisors: undefined,
      ropeOriginalContext: undefined,
      windowPeriod: undefined
    })
    assert.deepEqual(plain(ours), plain(theirs))
    assert.deepEqual(made.tensors.map(t => t.name).sort(), wanted.tensors.map(t => t.name).sort())
    for (const { name: tensor } of made.tensors) {
      const [a, b] = [readFloats(made, tensor), readFloats(wanted, tensor)]
      assert.ok(
        a.length === b.length && a.every((v, i) => Math.abs(v - b[i]!) <= 1e-6 * Math.max(1, Math.abs(b[i]!))),
        tensor
      )
    }
  })
}

for (const name of Object.keys(models)) {
  test(`config.json of a ${name} model that is written gives the same model when it is read`, () => {
    using file = openGguf(join(fixtures, `${name}.gguf`))
    const config = readConfig(file)
    const { hf } = architecture(config)
    const names = new Set(parametersOf(config).flatMap(p => hf!.layouts(p)[0]!.map(part => part.name)))
    const json = JSON.parse(JSON.stringify(hf!.write(config))) as Record<string, unknown>
    const again = hf!.read(json, tensor => names.has(tensor)) as unknown as Record<string, unknown>
    // Numbers are written with the fewest digits, and divisors as the options that give them.
    const near = (a: unknown, b: unknown): boolean => Math.abs(Number(a) - Number(b)) <= 1e-5 * Math.abs(Number(b))
    for (const [field, value] of Object.entries(config)) {
      const read = again[field]
      if (field === 'ropeOriginalContext') continue // means nothing without a scaling
      if (typeof value === 'number') assert.ok(near(read ?? 0, value), `${field}: ${String(read)} for ${value}`)
      else if (field === 'ropeDivisors') assert.ok((value as number[]).every((v, i) => near((read as number[])[i], v)))
      else assert.deepEqual(read, value, field)
    }
  })
}

test('what would make another model is refused by its name', () => {
  for (const [name, change, expected] of [
    ['llama', { hidden_act: 'gelu' }, /hidden_act/],
    ['llama', { rope_parameters: { rope_type: 'dynamic', factor: 2 } }, /rope_type/],
    ['llama', { rope_parameters: { rope_type: 'linear', factor: -1 } }, /rope_scaling\.factor/],
    ['llama', { sliding_window: 4096 }, /sliding_window/],
    ['llama', { num_attention_heads: 0 }, /num_attention_heads/],
    ['llama', { hidden_size: 1e9 }, /hidden_size/],
    ['llama', { rms_norm_eps: 'x' }, /rms_norm_eps/],
    ['llama', { tie_word_embeddings: true }, /tie_word_embeddings/],
    ['qwen2', { use_sliding_window: true }, /use_sliding_window/],
    ['gemma3', { layer_types: ['full_attention'] }, /layer_types/],
    ['granite', { logits_scaling: -1 }, /logits_scaling/],
    ['phi3', { model_type: 'phi4' }, /model_type is "phi4"/]
  ] as const) {
    assert.throws(
      () => new HfSource(folderOf(name, change), described),
      (e: unknown) => VeritError.is(e, 'VERIT_MODEL_FILE') && expected.test(e.message),
      `${name} ${JSON.stringify(change)}`
    )
  }
})

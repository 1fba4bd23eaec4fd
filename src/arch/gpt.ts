/**
 * The GPT-2-like decoder that Verit trains: pre-LayerNorm blocks, learned positions, fused QKV, exact GELU (Radford
 * et al. 2019, with the options of nanoGPT). The head is the token embedding. Files of OpenAI's models, with the
 * tanh form of GELU, are of the kind `gpt2`.
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import type { Architecture, FixedTensor, ModelConfig, Parameter } from './architecture.ts'
import { checkPlain } from './check-plain.ts'
import { commonSizes, fail, flag, integer, onlyFields, real } from './fields.ts'
import type { Fields } from './fields.ts'
import { gptHf } from './gpt-hf.ts'
import { namingKeys } from './gguf-keys.ts'
import type { Placement } from './placement.ts'
import { parameterList } from './parameter-list.ts'
import { tensorNames } from './tensor-names.ts'
import type { Weights } from './weights.ts'

export interface GptConfig extends ModelConfig {
  readonly kind: 'gpt'
  /** Biases in the linear layers and norms. Default false. */
  readonly bias: boolean
  /** Share of elements dropped after the embedding and each residual branch in training, 0 to below 1. Default 0. */
  readonly dropout: number
}

/** Files of other programs lack this key, and mean the approximation of GELU by tanh, which is another model. */
const ACTIVATION = 'verit.activation'
const EXACT_GELU = 'gelu-exact'

/**
 * The key that tells zeros from biases that were trained: files have biases in any case, since llama.cpp and
 * transformers know no other GPT-2.
 */
const HAS_BIAS = 'verit.bias'

const names = tensorNames({
  attn_norm: 'attn_norm',
  attn_qkv: 'attn_qkv',
  attn_out: 'attn_output',
  mlp_norm: 'ffn_norm',
  mlp_up: 'ffn_up',
  mlp_down: 'ffn_down'
})

export const gpt: Architecture<GptConfig> = {
  kind: 'gpt',
  ggufNames: ['gpt2'],
  training: {
    rate: 3e-3,
    ofDepth: depth => ({ layers: depth, heads: depth, hidden: 64 * depth })
  },
  claims: file => file.metadata.has(ACTIVATION),
  parse,
  readGguf,
  ggufName: () => 'gpt2',
  ggufEntries,
  tensorName: names,
  fileRows: () => undefined,
  fixedTensors,
  llamaCppProblem: () => undefined,
  hf: gptHf(parse, parameters),
  parameters,
  forward,
  logits: (_, __, w, x, top) => w.head(x, top),
  caches: ({ layers, heads, hidden }) =>
    Array.from({ length: layers }, () => ({ kind: 'attention', kvHeads: heads, headDim: hidden / heads })),
  cacheType: 'f32',
  rotaryPairs: () => 0
}

const FIELDS = ['kind', 'layers', 'hidden', 'heads', 'ffn', 'context', 'vocab', 'bias', 'dropout', 'eps']

function parse(fields: Fields): GptConfig {
  onlyFields(fields, 'gpt', FIELDS)
  const { eps, ...sizes } = commonSizes(fields)
  if (sizes.hidden % sizes.heads !== 0) fail('hidden', `must be a multiple of heads (${sizes.heads})`)
  const ffn = integer(fields, 'ffn', 1, 1 << 20, 4 * sizes.hidden)
  return {
    kind: 'gpt',
    ...sizes,
    ffn,
    bias: flag(fields, 'bias', false),
    dropout: real(fields, 'dropout', 0, 1, 0),
    eps
  }
}

function readGguf(file: GgufFile, vocab: number): GptConfig {
  const m = file.metadata
  const activation = m.string(ACTIVATION)
  if (activation !== EXACT_GELU)
    m.refuse(ACTIVATION, `is ${JSON.stringify(activation)}, where ${EXACT_GELU} is supported`)
  const bias = file.has('output_norm.bias') && m.bool(HAS_BIAS, true)
  const fields = {
    layers: m.uint('gpt2.block_count'),
    hidden: m.uint('gpt2.embedding_length'),
    heads: m.uint('gpt2.attention.head_count'),
    context: m.uint('gpt2.context_length'),
    vocab,
    ffn: m.uint('gpt2.feed_forward_length'),
    bias,
    dropout: 0,
    eps: m.float('gpt2.attention.layer_norm_epsilon')
  }
  return namingKeys(m, 'gpt2', 'layer', () => {
    const config = parse(fields)
    checkPlain(m, name => `gpt2.${name}`, { headDim: config.hidden / config.heads })
    return config
  })
}

function ggufEntries(config: GptConfig): [string, GgufValue][] {
  return [
    ['gpt2.vocab_size', gguf.u32(config.vocab)],
    ['gpt2.context_length', gguf.u32(config.context)],
    ['gpt2.embedding_length', gguf.u32(config.hidden)],
    ['gpt2.block_count', gguf.u32(config.layers)],
    ['gpt2.feed_forward_length', gguf.u32(config.ffn)],
    ['gpt2.attention.head_count', gguf.u32(config.heads)],
    ['gpt2.attention.layer_norm_epsilon', gguf.f32(config.eps)],
    [ACTIVATION, gguf.string(EXACT_GELU)],
    ...(config.bias ? [] : [[HAS_BIAS, gguf.bool(false)] as [string, GgufValue]])
  ]
}

/** The biases of a model without biases: zeros, because its file has these tensors. */
function fixedTensors(config: GptConfig): FixedTensor[] {
  if (config.bias) return []
  return parameters({ ...config, bias: true })
    .filter(p => p.name.endsWith('.bias'))
    .map(p => ({ name: names(p.name), values: new Float32Array(p.shape[0]!) }))
}

function parameters({ layers, hidden, ffn, vocab, context, bias }: GptConfig): Parameter[] {
  const { list, put, linear, norm } = parameterList(bias)
  put('token_embedding', [vocab, hidden], 'normal')
  put('position_embedding', [context, hidden], 'normal', { whole: true })
  for (let l = 0; l < layers; l++) {
    const at = `blocks.${l}.`
    norm(`${at}attn_norm`, hidden)
    // A bias of the keys adds the same to every score of a row, where softmax does not see it.
    linear(`${at}attn_qkv`, 3 * hidden, hidden, { zeroGradient: [hidden, 2 * hidden] })
    linear(`${at}attn_out`, hidden, hidden, { init: 'residual' })
    norm(`${at}mlp_norm`, hidden)
    linear(`${at}mlp_up`, ffn, hidden)
    linear(`${at}mlp_down`, hidden, ffn, { init: 'residual' })
  }
  norm('final_norm', hidden)
  return list
}

function forward(g: Graph, config: GptConfig, w: Weights, at: Placement): Tensor {
  const { heads, hidden, eps } = config
  const { cacheRow, pages, sequence, length, cacheRows, context } = at
  const norm = (x: Tensor, name: string): Tensor => g.layerNorm(x, w.tensor(`${name}.weight`), w.bias(name), eps)
  let site = 0
  const drop = (x: Tensor): Tensor => (at.rng === undefined ? x : g.dropout(x, at.rng, site++, config.dropout))

  let x = drop(g.add(w.embed(at.ids), g.embedding(w.tensor('position_embedding'), at.positions)))
  for (let l = 0; l < config.layers; l++) {
    const block = `blocks.${l}.`
    const qkv = w.linear(norm(x, `${block}attn_norm`), `${block}attn_qkv`)
    const [q, k, v] = g.split(qkv, [hidden, hidden, hidden]) as [Tensor, Tensor, Tensor]
    const a = g.attention(q, k, v, {
      heads,
      kvHeads: heads,
      context,
      cacheRows,
      cacheRow,
      pages,
      sequence,
      length,
      ...at.cache?.(l)
    })
    x = g.add(x, drop(w.linear(a, `${block}attn_out`)))
    const up = g.gelu(w.linear(norm(x, `${block}mlp_norm`), `${block}mlp_up`))
    x = g.add(x, drop(w.linear(up, `${block}mlp_down`)))
  }
  return norm(x, 'final_norm')
}

/**
 * The BitNet b1.58 decoder, in the shape of the 2B4T model (arXiv 2504.12285): ternary projections, RMSNorm, rotary
 * positions by rotated halves, grouped key heads, a feed-forward gated by the squared ReLU, and an extra norm
 * before the two output projections (SubLN). Others of the family have SiLU in the gate (1bitLLM's), and no extra
 * norms either (Llama with ternary projections).
 */
import type { GgufFile } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import type { Architecture, ModelConfig, Parameter } from './architecture.ts'
import { bitnetHf } from './bitnet-hf.ts'
import { checkPlain } from './check-plain.ts'
import { commonSizes, fail, flag, integer, onlyFields, real } from './fields.ts'
import type { Fields } from './fields.ts'
import { isTernaryFile } from './is-ternary-file.ts'
import { parameterList } from './parameter-list.ts'
import { namingKeys } from './gguf-keys.ts'
import type { Placement } from './placement.ts'
import { interleavedRows, rotaryTable } from './rotary.ts'
import { tensorNames } from './tensor-names.ts'
import type { Weights } from './weights.ts'

export interface BitnetConfig extends ModelConfig {
  readonly kind: 'bitnet'
  /** Heads of keys and values; divides `heads`. Default `heads`. */
  readonly kvHeads: number
  /** Base of the rotary angles. Default 500,000. Older configurations call it `theta`. */
  readonly ropeTheta: number
  /** Gate of the feed-forward layer: squared ReLU (default), or SiLU. */
  readonly activation: 'relu2' | 'silu'
  /**
   * Norms before the two output projections (SubLN). Default true; false needs SiLU: that is Llama's block, and
   * files have no name for the other.
   */
  readonly subNorms: boolean
  /** Default true. */
  readonly tied: boolean
}

/**
 * `general.architecture`s with ternary projections. `bitnet` is llama.cpp's name of the models of 1bitLLM; `llama`
 * is Llama's block.
 */
const variants = {
  'bitnet-b1.58': { activation: 'relu2', subNorms: true },
  'bitnet-25': { activation: 'relu2', subNorms: true },
  bitnet: { activation: 'silu', subNorms: true },
  llama: { activation: 'silu', subNorms: false }
} as const satisfies Record<string, Pick<BitnetConfig, 'activation' | 'subNorms'>>

const headDimOf = ({ hidden, heads }: BitnetConfig): number => hidden / heads

export const bitnet: Architecture<BitnetConfig> = {
  kind: 'bitnet',
  ggufNames: Object.keys(variants),
  training: { rate: 4e-3, ofDepth },
  // The first files of BitNet b1.58 do not name Llama 3's pre-tokenizer.
  unnamedPretokenizer: name => (name === 'llama' ? undefined : 'llama-bpe'),
  claims: file => file.metadata.string('general.architecture') !== 'llama' || isTernaryFile(file),
  parse,
  readGguf,
  ggufName,
  ggufEntries,
  tensorName: tensorNames({
    attn_out: 'attn_output',
    mlp_norm: 'ffn_norm',
    mlp_gate: 'ffn_gate',
    mlp_up: 'ffn_up',
    mlp_sub_norm: 'ffn_sub_norm',
    mlp_down: 'ffn_down'
  }),
  fileRows,
  fixedTensors: () => [],
  llamaCppProblem,
  hf: bitnetHf(parse),
  parameters,
  forward,
  logits: (_, __, w, x, top) => w.head(x, top),
  caches: config =>
    Array.from({ length: config.layers }, () => ({
      kind: 'attention',
      kvHeads: config.kvHeads,
      headDim: headDimOf(config)
    })),
  cacheType: 'f32',
  rotaryPairs: config => headDimOf(config) / 2
}

/**
 * The feed-forward is 8/3 as wide, rounded up to 64; the key heads are a third of the heads or the next larger
 * divisor.
 */
function ofDepth(depth: number): Record<string, unknown> {
  let kvHeads = Math.ceil(depth / 3)
  while (depth % kvHeads !== 0) kvHeads++
  return { layers: depth, heads: depth, kvHeads, hidden: 64 * depth, ffn: Math.ceil((8 * depth) / 3) * 64 }
}

const FIELDS = [
  'kind',
  'layers',
  'hidden',
  'heads',
  'kvHeads',
  'ffn',
  'context',
  'vocab',
  'eps',
  'ropeTheta',
  'theta',
  'activation',
  'subNorms',
  'tied'
]

function parse(fields: Fields): BitnetConfig {
  onlyFields(fields, 'bitnet', FIELDS)
  const { eps, ...sizes } = commonSizes(fields)
  const { hidden, heads } = sizes
  if (hidden % heads !== 0) fail('hidden', `must be a multiple of heads (${heads})`)
  const kvHeads = integer(fields, 'kvHeads', 1, heads, heads)
  if (heads % kvHeads !== 0) fail('kvHeads', `must divide heads (${heads})`)
  if ((hidden / heads) % 2 !== 0)
    fail('hidden', `must give each of the ${heads} heads an even width for rotary positions`)
  const ffn = integer(fields, 'ffn', 1, 1 << 20)
  const ropeTheta = real(fields, fields['ropeTheta'] === undefined ? 'theta' : 'ropeTheta', 1, 1e9, 500000)
  const activation = fields['activation'] ?? 'relu2'
  if (activation !== 'relu2' && activation !== 'silu') return fail('activation', "must be 'relu2' or 'silu'")
  const subNorms = flag(fields, 'subNorms', true)
  if (!subNorms && activation !== 'silu') fail('subNorms', "must be true with the activation 'relu2'")
  return {
    kind: 'bitnet',
    ...sizes,
    kvHeads,
    ffn,
    eps,
    ropeTheta,
    activation,
    subNorms,
    tied: flag(fields, 'tied', true)
  }
}

function readGguf(file: GgufFile, vocab: number): BitnetConfig {
  const m = file.metadata
  const architecture = m.string('general.architecture') as keyof typeof variants
  const { activation, subNorms } = variants[architecture]
  const key = (name: string): string => `${architecture}.${name}`
  const heads = m.uint(key('attention.head_count'))
  const fields = {
    layers: m.uint(key('block_count')),
    hidden: m.uint(key('embedding_length')),
    heads,
    context: m.uint(key('context_length')),
    vocab,
    kvHeads: m.uint(key('attention.head_count_kv'), heads),
    ffn: m.uint(key('feed_forward_length')),
    eps: m.float(key('attention.layer_norm_rms_epsilon')),
    ropeTheta: activation === 'silu' ? m.float(key('rope.freq_base'), 10_000) : m.float(key('rope.freq_base')),
    activation,
    subNorms,
    tied: !file.has('output.weight')
  }
  const config = namingKeys(m, architecture, 'rms', () => parse(fields))
  checkPlain(m, key, { headDim: headDimOf(config) })
  return config
}

function ggufName({ activation, subNorms }: BitnetConfig): keyof typeof variants {
  if (activation === 'relu2') return 'bitnet-b1.58'
  return subNorms ? 'bitnet' : 'llama'
}

function ggufEntries(config: BitnetConfig): [string, GgufValue][] {
  const key = (name: string): string => `${ggufName(config)}.${name}`
  return [
    [key('vocab_size'), gguf.u32(config.vocab)],
    [key('context_length'), gguf.u32(config.context)],
    [key('embedding_length'), gguf.u32(config.hidden)],
    [key('block_count'), gguf.u32(config.layers)],
    [key('feed_forward_length'), gguf.u32(config.ffn)],
    [key('attention.head_count'), gguf.u32(config.heads)],
    [key('rope.dimension_count'), gguf.u32(headDimOf(config))],
    [key('attention.head_count_kv'), gguf.u32(config.kvHeads)],
    [key('attention.layer_norm_rms_epsilon'), gguf.f32(config.eps)],
    [key('rope.freq_base'), gguf.f32(config.ropeTheta)]
  ]
}

/** Files of the architecture `llama` rotate neighbours, the others halves. */
function fileRows(config: BitnetConfig, parameter: string): Int32Array | undefined {
  const [, which] = /\.attn_([qk])\.weight$/.exec(parameter) ?? []
  if (which === undefined || ggufName(config) !== 'llama') return undefined
  const width = headDimOf(config)
  return interleavedRows(which === 'q' ? config.heads : config.kvHeads, width, width)
}

function llamaCppProblem({ activation, subNorms, tied }: BitnetConfig): { problem: string; hint: string } | undefined {
  if (activation === 'relu2') {
    return {
      problem: 'has no BitNet with the squared ReLU: its architecture bitnet computes SiLU, which is another model',
      hint:
        'Run the file with microsoft/BitNet or ik_llama.cpp, which read it with I2_S, or train with ' +
        '{"model": {"activation": "silu"}} in --config; docs/internals/formats.md says which program reads what'
    }
  }
  if (!subNorms || tied) return undefined
  return {
    problem: 'has no BitNet with a head of its own and norms before the output projections',
    hint: 'No other form of this model is readable there'
  }
}

function parameters(config: BitnetConfig): Parameter[] {
  const { layers, hidden, ffn, vocab, kvHeads, subNorms, tied } = config
  const keyWidth = kvHeads * headDimOf(config)
  const { list, put, linear, norm } = parameterList(false)
  const ternary = { quantization: 'ternary' } as const
  const residual = { ...ternary, init: 'residual' } as const
  put('token_embedding', [vocab, hidden], 'normal')
  for (let l = 0; l < layers; l++) {
    const at = `blocks.${l}.`
    norm(`${at}attn_norm`, hidden)
    linear(`${at}attn_q`, hidden, hidden, ternary)
    linear(`${at}attn_k`, keyWidth, hidden, ternary)
    linear(`${at}attn_v`, keyWidth, hidden, ternary)
    if (subNorms) norm(`${at}attn_sub_norm`, hidden)
    linear(`${at}attn_out`, hidden, hidden, residual)
    norm(`${at}mlp_norm`, hidden)
    linear(`${at}mlp_gate`, ffn, hidden, ternary)
    linear(`${at}mlp_up`, ffn, hidden, ternary)
    if (subNorms) norm(`${at}mlp_sub_norm`, ffn)
    linear(`${at}mlp_down`, hidden, ffn, residual)
  }
  if (!tied) put('head.weight', [vocab, hidden], 'normal')
  norm('final_norm', hidden)
  return list
}

function forward(g: Graph, config: BitnetConfig, w: Weights, at: Placement): Tensor {
  const { heads, kvHeads, eps } = config
  const { cacheRow, pages, sequence, length, cacheRows, context } = at
  const dim = headDimOf(config)
  const table = rotaryTable({ theta: config.ropeTheta, dim }, context)
  const cos = g.constant('rotary.cos', table.cos, [context, dim / 2])
  const sin = g.constant('rotary.sin', table.sin, [context, dim / 2])
  const norm = (x: Tensor, name: string): Tensor => g.rmsNorm(x, w.tensor(`${name}.weight`), eps)
  const subNorm = (x: Tensor, name: string): Tensor => (config.subNorms ? norm(x, name) : x)

  let x = w.embed(at.ids)
  for (let l = 0; l < config.layers; l++) {
    const block = `blocks.${l}.`
    const project = (y: Tensor, name: string): Tensor => w.bitLinear(y, `${block}${name}`)
    const n = norm(x, `${block}attn_norm`)
    const q = g.rope(project(n, 'attn_q'), at.positions, cos, sin, heads)
    const k = g.rope(project(n, 'attn_k'), at.positions, cos, sin, kvHeads)
    const v = project(n, 'attn_v')
    const a = g.attention(q, k, v, {
      heads,
      kvHeads,
      context,
      cacheRows,
      cacheRow,
      pages,
      sequence,
      length,
      ...at.cache?.(l)
    })
    x = g.add(x, project(subNorm(a, `${block}attn_sub_norm`), 'attn_out'))
    const m = norm(x, `${block}mlp_norm`)
    const [gate, up] = [project(m, 'mlp_gate'), project(m, 'mlp_up')]
    const gated = config.activation === 'silu' ? g.siluGate(gate, up) : g.reluSquareGate(gate, up)
    x = g.add(x, project(subNorm(gated, `${block}mlp_sub_norm`), 'mlp_down'))
  }
  return norm(x, 'final_norm')
}

/**
 * The configuration of a model: what fixes the shapes of its parameters and the sequence of its operations. It is stored in checkpoints,
 * training records and GGUF files, so every field that arrives from outside passes `parseModelConfig`.
 */
import { VeritError } from '../lib/errors.ts'

/** A GPT-2-like decoder: pre-LayerNorm, learned positions, fused QKV, exact GELU, head tied to the token embedding. */
export interface GptConfig {
  readonly kind: 'gpt'
  /** 1 to 1,024. */
  readonly layers: number
  /** Width of the residual stream, a multiple of `heads`. */
  readonly hidden: number
  readonly heads: number
  /** Width of the feed-forward layer. Default 4 × hidden. */
  readonly ffn: number
  /** Positions a sequence may have. */
  readonly context: number
  readonly vocab: number
  /** Biases in the linear layers and norms. Default false. */
  readonly bias: boolean
  /** Share of elements dropped after the embedding and each residual branch in training, 0 to below 1. Default 0. */
  readonly dropout: number
  /** Epsilon of the norms. Default 1e-5. */
  readonly eps: number
}

/** A decoder with ternary projections (BitNet b1.58): RMSNorm, rotary positions, grouped key heads, a gated feed-forward. */
export interface BitnetConfig {
  readonly kind: 'bitnet'
  readonly layers: number
  readonly hidden: number
  readonly heads: number
  /** Heads of keys and values; divides `heads`. Default `heads`. */
  readonly kvHeads: number
  readonly ffn: number
  readonly context: number
  readonly vocab: number
  /** Epsilon of the norms. Default 1e-5. */
  readonly eps: number
  /** Base of the rotary angles. Default 500,000. */
  readonly theta: number
  /** What gates the feed-forward: the squared ReLU (default), or SiLU. */
  readonly activation: 'relu2' | 'silu'
  /** Norms before the two output projections (SubLN). Default true; false needs SiLU: that is Llama's block, and files have no name for the other. */
  readonly subNorms: boolean
  /** Whether the token embedding is the head as well. Default true. */
  readonly tied: boolean
}

export type ModelConfig = GptConfig | BitnetConfig

const fail = (field: string, problem: string): never => {
  throw new VeritError('VERIT_MODEL_CONFIG', { field, problem })
}

function integer(source: Record<string, unknown>, field: string, low: number, high: number, fallback?: number): number {
  const value = source[field] ?? fallback
  if (value === undefined) return fail(field, 'is missing')
  if (typeof value !== 'number' || !Number.isInteger(value) || value < low || value > high) {
    return fail(field, `must be a whole number from ${low} to ${high.toLocaleString('en-US')}`)
  }
  return value
}

function real(source: Record<string, unknown>, field: string, low: number, high: number, fallback: number): number {
  const value = source[field] ?? fallback
  if (typeof value !== 'number' || !(value >= low && value < high)) return fail(field, `must be a number from ${low} to below ${high}`)
  return value
}

function flag(source: Record<string, unknown>, field: string, fallback: boolean): boolean {
  const value = source[field] ?? fallback
  return typeof value === 'boolean' ? value : fail(field, 'must be true or false')
}

const FIELDS: Readonly<Record<ModelConfig['kind'], readonly string[]>> = {
  gpt: ['kind', 'layers', 'hidden', 'heads', 'ffn', 'context', 'vocab', 'bias', 'dropout', 'eps'],
  bitnet: ['kind', 'layers', 'hidden', 'heads', 'kvHeads', 'ffn', 'context', 'vocab', 'eps', 'theta', 'activation', 'subNorms', 'tied'],
}

/**
 * Checks an untrusted configuration and fills in defaults.
 * @throws VeritError VERIT_MODEL_CONFIG naming the first field that is wrong; unknown fields are wrong
 */
export function parseModelConfig(value: unknown): ModelConfig {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail('model', 'must be an object')
  const source = value as Record<string, unknown>
  const kind = source['kind']
  if (kind !== 'gpt' && kind !== 'bitnet') return fail('kind', "must be 'gpt' or 'bitnet'")
  for (const field of Object.keys(source)) if (!FIELDS[kind].includes(field)) fail(field, `is not a field of a ${kind} model`)
  const layers = integer(source, 'layers', 1, 1024)
  const hidden = integer(source, 'hidden', 1, 65536)
  const heads = integer(source, 'heads', 1, 1024)
  const context = integer(source, 'context', 1, 1 << 20)
  const vocab = integer(source, 'vocab', 2, 1 << 21)
  const eps = real(source, 'eps', 1e-12, 1, 1e-5)
  if (hidden % heads !== 0) fail('hidden', `must be a multiple of heads (${heads})`)
  if (kind === 'gpt') {
    const ffn = integer(source, 'ffn', 1, 1 << 20, 4 * hidden)
    const bias = flag(source, 'bias', false)
    return { kind, layers, hidden, heads, ffn, context, vocab, bias, dropout: real(source, 'dropout', 0, 1, 0), eps }
  }
  const kvHeads = integer(source, 'kvHeads', 1, heads, heads)
  if (heads % kvHeads !== 0) fail('kvHeads', `must divide heads (${heads})`)
  if ((hidden / heads) % 2 !== 0) fail('hidden', `must give each of the ${heads} heads an even width for rotary positions`)
  const ffn = integer(source, 'ffn', 1, 1 << 20)
  const theta = real(source, 'theta', 1, 1e9, 500000)
  const activation = source['activation'] ?? 'relu2'
  if (activation !== 'relu2' && activation !== 'silu') return fail('activation', "must be 'relu2' or 'silu'")
  const subNorms = flag(source, 'subNorms', true)
  if (!subNorms && activation !== 'silu') fail('subNorms', "must be true with the activation 'relu2'")
  return { kind, layers, hidden, heads, kvHeads, ffn, context, vocab, eps, theta, activation, subNorms, tied: flag(source, 'tied', true) }
}

/** Width of one attention head. */
export const headWidth = (config: ModelConfig): number => config.hidden / config.heads

/** Number of key and value heads. */
export const keyHeads = (config: ModelConfig): number => (config.kind === 'gpt' ? config.heads : config.kvHeads)

/**
 * Named model shapes, and one dial (`modelOfDepth`) that determines a whole shape. The vocabulary comes from the
 * tokenizer; `vocab` here is that of the published parameter counts.
 */
import { VeritError } from '../lib/errors.ts'
import { parseModelConfig } from './config.ts'
import type { Training } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'
import type { BitnetConfig, GptConfig, ModelConfig } from './config.ts'

type Shape =
  | Omit<GptConfig, 'vocab' | 'eps' | 'ffn'>
  | Omit<BitnetConfig, 'vocab' | 'eps' | 'ropeTheta' | 'activation' | 'subNorms' | 'tied'>

const gpt = (
  layers: number,
  heads: number,
  hidden: number,
  context: number,
  bias: boolean,
  dropout: number
): Shape => ({ kind: 'gpt', layers, heads, hidden, context, bias, dropout })
const bitnet = (
  layers: number,
  heads: number,
  kvHeads: number,
  hidden: number,
  ffn: number,
  context: number
): Shape => ({ kind: 'bitnet', layers, heads, kvHeads, hidden, ffn, context })

export const modelPresets = {
  /** nanoGPT's CPU Shakespeare model: 0.80M parameters with 65 characters. */
  nano: gpt(4, 4, 128, 64, false, 0),
  /** nanoGPT's GPU Shakespeare model without dropout: 10.7M parameters with 65 characters. */
  mini: gpt(6, 6, 384, 256, false, 0),
  /** 5,836,032 parameters with 4,096 tokens. */
  'gpt-mini': gpt(6, 4, 256, 256, false, 0),
  /** 35,823,616 parameters with 32,000 tokens. */
  small: gpt(6, 8, 512, 1024, true, 0.1),
  /** 111,204,864 parameters with 32,000 tokens. */
  medium: gpt(12, 12, 768, 2048, true, 0.1),
  /** 337,176,576 parameters with 32,000 tokens. */
  large: gpt(24, 16, 1024, 2048, true, 0.1),
  /**
   * `nano` with ternary projections: the gated feed-forward has three matrices, so it is narrower; 0.79M parameters
   * with 65 characters.
   */
  'bitnet-nano': bitnet(4, 4, 4, 128, 336, 64),
  'bitnet-mini': bitnet(6, 4, 2, 256, 768, 256),
  'bitnet-small': bitnet(8, 8, 4, 512, 1408, 512),
  'bitnet-medium': bitnet(12, 12, 4, 768, 2048, 1024),
  'bitnet-large': bitnet(24, 16, 4, 1024, 2816, 2048)
} as const satisfies Record<string, Shape>

export type ModelPreset = keyof typeof modelPresets

/** The configuration of a preset with a vocabulary, and fields changed by `changes`. Checked. */
export function modelOfPreset(
  preset: ModelPreset,
  vocab: number,
  changes: Readonly<Record<string, unknown>> = {}
): ModelConfig {
  return parseModelConfig({ ...modelPresets[preset], vocab, ...changes })
}

/** Training properties of an architecture. @throws VeritError VERIT_MODEL_CONFIG for one that cannot be trained */
export function trainingOf({ kind }: Pick<ModelConfig, 'kind'>): Training {
  const { training } = architecture({ kind })
  if (training === undefined)
    throw new VeritError('VERIT_MODEL_CONFIG', { field: 'kind', problem: 'is one that Verit does not train' })
  return training
}

/**
 * One dial: `depth` layers of width 64 · depth with heads of width 64, the feed-forward 4 × (gpt) or, of three
 * matrices, 8/3 × (bitnet, rounded up to 64) as wide, and for bitnet as many key heads as a third of the heads or the
 * next larger divisor.
 * @param depth 1 to 64.
 */
export function modelOfDepth(
  kind: ModelConfig['kind'],
  depth: number,
  vocab: number,
  changes: Readonly<Record<string, unknown>> = {}
): ModelConfig {
  if (!Number.isInteger(depth) || depth < 1 || depth > 64) {
    throw new VeritError('VERIT_MODEL_CONFIG', { field: 'depth', problem: 'must be a whole number from 1 to 64' })
  }
  const context = depth <= 4 ? 256 : depth <= 8 ? 512 : 1024
  return parseModelConfig({ kind, ...trainingOf({ kind }).ofDepth(depth), context, vocab, ...changes })
}

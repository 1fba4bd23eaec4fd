/** Published shapes for measuring speed, besides the presets that are trained here. They have no weights. */
import { parseModelConfig } from './config.ts'
import type { ModelConfig } from './config.ts'
import { modelOfPreset, modelPresets } from './presets.ts'
import type { ModelPreset } from './presets.ts'

const ternaryShapes = {
  /** microsoft/bitnet-b1.58-2B-4T: 2.41 · 10^9 parameters, 2.08 · 10^9 of them ternary. */
  'bitnet-2b4t': {
    kind: 'bitnet',
    layers: 30,
    heads: 20,
    kvHeads: 5,
    hidden: 2560,
    ffn: 6912,
    context: 4096,
    vocab: 128_256,
    ropeTheta: 500_000
  },
  /** The size of GPT-2 small (124M), with its vocabulary: 123.6M parameters. */
  'bitnet-125m': {
    kind: 'bitnet',
    layers: 12,
    heads: 12,
    kvHeads: 12,
    hidden: 768,
    ffn: 2048,
    context: 2048,
    vocab: 50_257
  }
} as const

const common = { context: 8192, eps: 1e-5, tied: true } as const

/** Models whose files have quantised blocks or floating-point numbers. */
const blockShapes = {
  /** Llama 3.2 1B: 1.24 · 10^9 parameters. */
  'llama-1b': {
    ...common,
    kind: 'llama',
    layers: 16,
    heads: 32,
    kvHeads: 8,
    headDim: 64,
    hidden: 2048,
    ffn: 8192,
    vocab: 128_256,
    ropeTheta: 500_000
  },
  /** Qwen 3 0.6B: 0.60 · 10^9 parameters. */
  'qwen3-0.6b': {
    ...common,
    kind: 'qwen3',
    layers: 28,
    heads: 16,
    kvHeads: 8,
    headDim: 128,
    hidden: 1024,
    ffn: 3072,
    vocab: 151_936,
    ropeTheta: 1_000_000
  },
  /** Qwen 2 and 2.5 0.5B: 0.49 · 10^9 parameters. */
  'qwen2-0.5b': {
    ...common,
    kind: 'qwen2',
    layers: 24,
    heads: 14,
    kvHeads: 2,
    headDim: 64,
    hidden: 896,
    ffn: 4864,
    vocab: 151_936,
    ropeTheta: 1_000_000
  },
  /** SmolLM 2 135M: 134.5M parameters. */
  'smollm2-135m': {
    ...common,
    kind: 'llama',
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    hidden: 576,
    ffn: 1536,
    vocab: 49_152,
    ropeTheta: 100_000
  },
  /** Llama 3 and 3.1 8B: 8.03 · 10^9 parameters. */
  'llama-8b': {
    ...common,
    kind: 'llama',
    layers: 32,
    heads: 32,
    kvHeads: 8,
    headDim: 128,
    hidden: 4096,
    ffn: 14_336,
    vocab: 128_256,
    ropeTheta: 500_000,
    tied: false
  }
} as const

const shapes: Readonly<Record<string, Readonly<Record<string, unknown>>>> = { ...ternaryShapes, ...blockShapes }

export type BlockShape = keyof typeof blockShapes
export type MeasuredShape = keyof typeof ternaryShapes | BlockShape | ModelPreset

/** Shapes of models that are published in many weight formats; a mix names the format of each matrix. */
export const blockShapeNames = Object.keys(blockShapes) as BlockShape[]

export const measuredShapes = [...Object.keys(shapes), ...Object.keys(modelPresets)] as MeasuredShape[]

/**
 * @param vocab default: the shape's own; 4,096 for a preset, which has none
 * @throws VeritError VERIT_MODEL_CONFIG
 */
export function modelOfShape(shape: MeasuredShape, vocab?: number): ModelConfig {
  const fields = shapes[shape]
  if (fields === undefined) return modelOfPreset(shape as ModelPreset, vocab ?? 4096)
  return parseModelConfig({ ...fields, ...(vocab !== undefined && { vocab }) })
}

/** Whether a shape is measured with a mix of weight formats by default. */
export const isBlockShape = (shape: MeasuredShape): shape is BlockShape => shape in blockShapes

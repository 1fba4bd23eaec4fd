/** Shapes that speed is measured at, with their vocabularies: those of models that are in use, beside the presets that are trained here. */
import { parseModelConfig } from './config.ts'
import type { ModelConfig } from './config.ts'
import { modelOfPreset, modelPresets } from './presets.ts'
import type { ModelPreset } from './presets.ts'

const shapes = {
  /** microsoft/bitnet-b1.58-2B-4T: 2.41 · 10^9 parameters, of which 2.08 · 10^9 are ternary. */
  'bitnet-2b4t': { kind: 'bitnet', layers: 30, heads: 20, kvHeads: 5, hidden: 2560, ffn: 6912, context: 4096, vocab: 128_256, ropeTheta: 500_000 },
  /** Of the class of GPT-2 small (124M), with its vocabulary: 123.6M parameters. */
  'bitnet-125m': { kind: 'bitnet', layers: 12, heads: 12, kvHeads: 12, hidden: 768, ffn: 2048, context: 2048, vocab: 50_257 },
} as const

export type MeasuredShape = keyof typeof shapes | ModelPreset

export const measuredShapes = [...Object.keys(shapes), ...Object.keys(modelPresets)] as MeasuredShape[]

/** @param vocab default: the shape's own; 4,096 for a preset, which has none @throws VeritError VERIT_MODEL_CONFIG */
export function modelOfShape(shape: MeasuredShape, vocab?: number): ModelConfig {
  if (shape in shapes) return parseModelConfig({ ...shapes[shape as keyof typeof shapes], ...(vocab !== undefined && { vocab }) })
  return modelOfPreset(shape as ModelPreset, vocab ?? 4096)
}

/**
 * The parameters of a model: names, shapes, starting values and order. The order is that of the flat weight buffer
 * (matrices first, so that weight decay ends at one index); the index, as the stream of the random generator, fixes the
 * starting values.
 */
import type { ModelConfig, Parameter } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'

export type { Parameter } from '../arch/architecture.ts'

/**
 * The named parameters of a model, matrices first, then vectors; inside each group in the order in which the model uses
 * them.
 */
export function parametersOf(config: ModelConfig): Parameter[] {
  const list = architecture(config).parameters(config)
  return [...list.filter(p => p.shape.length > 1), ...list.filter(p => p.shape.length === 1)]
}

/** Elements of one parameter. */
export const elementsOf = (parameter: Parameter): number => parameter.shape.reduce((a, b) => a * b, 1)

/** Elements of all parameters; the tied head counts once. */
export const parameterCount = (config: ModelConfig): number =>
  parametersOf(config).reduce((n, p) => n + elementsOf(p), 0)

/** Whether a matrix is multiplied as ternary weights, whatever the type it is stored in. */
export const isTernary = ({ quantization }: Pick<Parameter, 'quantization'>): boolean => quantization === 'ternary'

/** Whether the projections are trained and kept as ternary weights. */
export const isTernaryModel = (config: ModelConfig): boolean => parametersOf(config).some(isTernary)

/**
 * Zeroes gradients that are zero in exact arithmetic: those of a key bias, which adds the same to every score of a row,
 * where softmax ignores it. AdamW would turn the rounding noise (about 1e-9) into visible steps, because it divides by
 * the gradient's own size.
 */
export function clearZeroGradients(parameters: readonly Parameter[], gradient: (p: Parameter) => Float32Array): void {
  for (const p of parameters) if (p.zeroGradient !== undefined) gradient(p).fill(0, ...p.zeroGradient)
}

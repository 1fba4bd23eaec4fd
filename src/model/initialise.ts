/**
 * Starting values of the parameters: element i of parameter p is normal number i of stream p of the generator (purpose
 * 1), times 0.02, or 0.02 / sqrt(2 · layers) for projections into the residual stream (GPT-2), rounded to f32; norms
 * start at 1, biases at 0.
 */
import { Philox, purpose } from '../lib/philox.ts'
import type { ModelConfig } from './config.ts'
import { elementsOf, parametersOf } from './parameters.ts'

/** Values of every parameter by name. @param seed 0 to 2^53 - 1 */
export function initialWeights(config: ModelConfig, seed: number): Map<string, Float32Array<ArrayBuffer>> {
  const residual = 0.02 / Math.sqrt(2 * config.layers)
  return new Map(
    parametersOf(config).map((p, index) => {
      const values = new Float32Array(elementsOf(p))
      if (p.init === 'one') values.fill(1)
      else if (p.init !== 'zero')
        new Philox(seed, purpose.initialisation, index).fillNormal(values, p.init === 'residual' ? residual : 0.02)
      return [p.name, values]
    })
  )
}

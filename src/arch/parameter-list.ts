/** Builds the list of a model's parameters. */
import type { Parameter } from './architecture.ts'

type Rest = Partial<Pick<Parameter, 'quantization' | 'whole' | 'zeroGradient'>>

export interface ParameterList {
  readonly list: Parameter[]
  put(name: string, shape: readonly number[], init: Parameter['init'], rest?: Rest): void
  /** `name.weight` [out, in] and, with biases, `name.bias` [out]. */
  linear(
    name: string,
    out: number,
    inputs: number,
    rest?: Rest & { readonly bias?: boolean; readonly init?: Parameter['init'] }
  ): void
  /** `name.weight` [width] and, with biases, `name.bias` [width]. */
  norm(name: string, width: number, options?: { readonly bias?: boolean }): void
}

/** @param biased whether linear layers and norms have biases by default */
export function parameterList(biased: boolean): ParameterList {
  const list: Parameter[] = []
  const put: ParameterList['put'] = (name, shape, init, rest = {}) => {
    list.push({ name, shape, init, ...rest })
  }
  return {
    list,
    put,
    linear: (name, out, inputs, { bias = biased, init = 'normal', quantization, zeroGradient } = {}) => {
      put(`${name}.weight`, [out, inputs], init, quantization === undefined ? {} : { quantization })
      if (bias) put(`${name}.bias`, [out], 'zero', zeroGradient === undefined ? {} : { zeroGradient })
    },
    norm: (name, width, { bias = biased } = {}) => {
      put(`${name}.weight`, [width], 'one')
      if (bias) put(`${name}.bias`, [width], 'zero')
    }
  }
}

/** Gives each matrix of a model its ggml type in a published mix such as Q4_K_M. It changes no weights. */
import type { ModelConfig, Parameter } from '../arch/architecture.ts'
import { invariant } from '../lib/errors.ts'
import { typeInMix } from '../weights/type-mix.ts'
import type { MixName } from '../weights/type-mix.ts'
import { ggufName } from './gguf-config.ts'
import type { FormOptions } from './weights.ts'
import { sizeOf } from './weights.ts'

/** The ggml type of each matrix of a model in a mix, for `FormOptions`. */
export function typesOfMix(config: ModelConfig, mix: MixName): FormOptions['type'] {
  return (p: Parameter) => {
    const name = ggufName(config, p.name)
    const [, block, matrix] = /^(?:blk\.(\d+)\.)?(.+)\.weight$/.exec(name) ?? []
    invariant(matrix !== undefined, `the matrix ${name} has no name that a mix knows`)
    const layer = block === undefined ? -1 : Number(block)
    return typeInMix(mix, { name: matrix, layer, layers: config.layers, inputs: sizeOf(p).inputs })
  }
}

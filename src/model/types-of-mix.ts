/** The weight format of each matrix of a model in a mix. */
import { architecture } from '../arch/registry.ts'
import { invariant } from '../lib/errors.ts'
import { typeInMix } from '../weights/type-mix.ts'
import type { MixName } from '../weights/type-mix.ts'
import type { WeightTypeName } from '../weights/registry.ts'
import type { ModelConfig } from './config.ts'
import { ggufName } from './gguf-config.ts'
import { parametersOf } from './parameters.ts'
import type { Parameter } from './parameters.ts'

/** 'blk.3.attn_v.weight' -> 'attn_v'. */
function roleOf(config: ModelConfig, p: Parameter): string {
  const name = ggufName(config, p.name)
  const role = /^(?:blk\.\d+\.)?(.+)\.weight$/.exec(name)?.[1]
  invariant(role !== undefined, `the matrix ${name} has no name that a mix knows`)
  return role
}

/** A function from a matrix to its format. Matrices of one name count as layers, in order. */
export function typesOfMix(config: ModelConfig, mix: MixName): (p: Parameter) => WeightTypeName {
  const matrices = parametersOf(config).filter(p => p.shape.length > 1)
  const roles = new Map<string, string[]>()
  for (const p of matrices) {
    const role = roleOf(config, p)
    const same = roles.get(role)
    if (same === undefined) roles.set(role, [p.name])
    else same.push(p.name)
  }
  // As in llama.cpp, the first layer counts; one without attention has no groups.
  const [first] = architecture(config).caches(config)
  const queryGroups = first?.kind === 'attention' ? config.heads / first.kvHeads : 0
  const experts = matrices.find(p => p.shape.length === 3)?.shape[0] ?? 0
  const separateHead = matrices.some(p => p.name === 'head.weight')
  return p => {
    const name = roleOf(config, p)
    const same = roles.get(name) ?? []
    return typeInMix(mix, {
      name,
      layer: same.indexOf(p.name),
      layers: same.length,
      inputs: p.shape.at(-1)!,
      head: p.name === (separateHead ? 'head.weight' : 'token_embedding'),
      queryGroups,
      experts
    })
  }
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ggufTypes } from '../formats/gguf-types.ts'
import type { GgufTypeName } from '../formats/gguf-types.ts'
import { mixNames } from '../weights/type-mix.ts'
import { blockShapeNames, modelOfShape } from './measured-shapes.ts'
import { typesOfMix } from './types-of-mix.ts'
import { servingForm, sizeOf } from './weights.ts'
import { parameterCount, parametersOf } from './parameters.ts'

test('in every shape and mix, blocks fit the rows of each matrix, and block types have packings of their own', () => {
  for (const shape of blockShapeNames) {
    const config = modelOfShape(shape)
    const parameters = new Map(parametersOf(config).map(p => [p.name, p]))
    for (const mix of mixNames) {
      const type = typesOfMix(config, mix)
      for (const [name, packing] of servingForm(config, { type, codes: 'two-bit' })) {
        const p = parameters.get(name)!
        const chosen = type(p)
        const { block } = ggufTypes[chosen as GgufTypeName]
        assert.equal(sizeOf(p).inputs % block, 0, `${shape} ${mix} ${name} ${chosen}`)
        assert.equal(packing.name, chosen.toLowerCase(), `${shape} ${mix} ${name}`)
      }
    }
  }
})

test('the shapes have the published numbers of parameters', () => {
  const millions = Object.fromEntries(blockShapeNames.map(s => [s, Math.round(parameterCount(modelOfShape(s)) / 1e6)]))
  assert.deepEqual(millions, {
    'llama-1b': 1236,
    'qwen3-0.6b': 596,
    'qwen2-0.5b': 494,
    'smollm2-135m': 135,
    'llama-8b': 8030
  })
})

test('Q4_K_M of Llama 3.2 1B has the types that llama.cpp gives it', () => {
  const config = modelOfShape('llama-1b')
  const matrices = parametersOf(config).filter(p => p.shape.length > 1)
  const types = new Map(matrices.map(p => [p.name, typesOfMix(config, 'Q4_K_M')(p)]))
  const count = (type: string): number => [...types.values()].filter(t => t === type).length
  assert.deepEqual([matrices.length, count('Q6_K'), count('Q4_K')], [113, 17, 96])
  const first = ['attn_v', 'attn_q'].map(name => types.get(`blocks.0.${name}.weight`))
  assert.deepEqual(first, ['Q6_K', 'Q4_K'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { rotaryTable } from '../arch/rotary.ts'
import { parseModelConfig } from './config.ts'
import type { BitnetConfig } from './config.ts'
import { ggufName } from './gguf-config.ts'
import { initialWeights } from './initialise.ts'
import { parameterCount, parametersOf } from './parameters.ts'
import { packCodes, codeBytes, unpackCodes } from '../weights/ternary-codes.ts'
import { modelOfDepth, modelOfPreset, modelPresets } from './presets.ts'
import type { ModelPreset } from './presets.ts'

test('the presets have the published numbers of parameters', () => {
  assert.equal(parameterCount(modelOfPreset('small', 32_000)), 35_823_616)
  assert.equal(parameterCount(modelOfPreset('medium', 32_000)), 111_204_864)
  assert.equal(parameterCount(modelOfPreset('large', 32_000)), 337_176_576)
  assert.equal(parameterCount(modelOfPreset('nano', 65)), 804_096)
  // The ternary model of the same size is not larger.
  assert.ok(parameterCount(modelOfPreset('bitnet-nano', 65)) < 804_096)
})

test('every preset and every depth is a valid configuration, and a field can be changed', () => {
  for (const name of Object.keys(modelPresets) as ModelPreset[]) assert.equal(modelOfPreset(name, 512).vocab, 512)
  for (let depth = 1; depth <= 64; depth++) {
    assert.equal(modelOfDepth('gpt', depth, 512).hidden, 64 * depth)
    assert.equal(modelOfDepth('bitnet', depth, 512).layers, depth)
  }
  assert.deepEqual(modelOfPreset('nano', 65, { hidden: 64 }), { ...modelOfPreset('nano', 65), hidden: 64, ffn: 256 })
})

test('a configuration that cannot be is refused by the name of its field', () => {
  const good = { kind: 'bitnet', layers: 1, hidden: 8, heads: 2, ffn: 16, context: 4, vocab: 8 }
  assert.equal((parseModelConfig(good) as BitnetConfig).kvHeads, 2)
  const field = (value: unknown): string => {
    try {
      parseModelConfig(value)
    } catch (e) {
      if (VeritError.is(e, 'VERIT_MODEL_CONFIG')) return e.fields.field
      throw e
    }
    return 'accepted'
  }
  for (const [change, expected] of [
    [{ kind: 'mamba' }, 'kind'],
    [{ layers: 0 }, 'layers'],
    [{ layers: 1.5 }, 'layers'],
    [{ hidden: 9 }, 'hidden'],
    [{ hidden: 6 }, 'hidden'],
    [{ heads: '2' }, 'heads'],
    [{ kvHeads: 3 }, 'kvHeads'],
    [{ ffn: undefined }, 'ffn'],
    [{ vocab: 1 }, 'vocab'],
    [{ context: 2 ** 40 }, 'context'],
    [{ eps: 0 }, 'eps'],
    [{ eps: NaN }, 'eps'],
    [{ theta: -1 }, 'theta'],
    [{ dropout: 0.1 }, 'dropout'],
    [{ __proto__x: 1 }, '__proto__x']
  ] as const)
    assert.equal(field({ ...good, ...change }), expected)
  for (const value of [null, 1, 'gpt', []]) assert.equal(field(value), 'model')
})

test(
  'matrices come before vectors, names are distinct in GGUF too, and starting values depend on the seed and ' +
    'place alone',
  () => {
    for (const config of [modelOfPreset('nano', 65, { bias: true }), modelOfPreset('bitnet-nano', 65)]) {
      const parameters = parametersOf(config)
      const firstVector = parameters.findIndex(p => p.shape.length === 1)
      assert.ok(parameters.slice(firstVector).every(p => p.shape.length === 1))
      assert.equal(new Set(parameters.map(p => ggufName(config, p.name))).size, parameters.length)
    }
    const [a, b] = [1, 2].map(layers => initialWeights(modelOfPreset('nano', 65, { layers }), 7)) as [
      Map<string, Float32Array>,
      Map<string, Float32Array>
    ]
    assert.deepEqual(a.get('blocks.0.attn_qkv.weight'), b.get('blocks.0.attn_qkv.weight'))
    // scaled by the number of layers
    assert.notDeepEqual(a.get('blocks.0.attn_out.weight'), b.get('blocks.0.attn_out.weight'))
    const values = a.get('token_embedding')!
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length)
    assert.ok(Math.abs(deviation - 0.02) < 0.0005, String(deviation))
    assert.ok(a.get('final_norm.weight')!.every(v => v === 1))
  }
)

test('the rotary table holds the cosines and sines of position times theta to the power -2i/D', () => {
  const { cos, sin } = rotaryTable({ theta: 500_000, dim: 8 }, 50)
  for (let p = 0; p < 50; p++) {
    for (let i = 0; i < 4; i++) {
      const angle = p * 500000 ** ((-2 * i) / 8)
      assert.ok(Math.abs(cos[p * 4 + i]! - Math.cos(angle)) < 1e-7)
      assert.ok(Math.abs(sin[p * 4 + i]! - Math.sin(angle)) < 1e-7)
    }
  }
})

test('ternary codes unpack to the trits that were packed', () => {
  const size = fc.integer({ min: 1, max: 40 })
  fc.assert(
    fc.property(size, size, fc.infiniteStream(fc.integer({ min: -1, max: 1 })), (out, inputs, stream) => {
      const trits = Int8Array.from({ length: out * inputs }, () => stream.next().value as number)
      const codes = new Uint8Array(codeBytes(out, inputs))
      packCodes(trits, out, inputs, codes)
      assert.deepEqual(unpackCodes(codes, out, inputs), trits)
    }),
    { numRuns: 30 }
  )
})

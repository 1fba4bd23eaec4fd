import assert from 'node:assert/strict'
import { test } from 'node:test'
import { typeInMix } from './type-mix.ts'
import type { MixName } from './type-mix.ts'

const types = (mix: MixName, name: string, inputs = 256, layers = 16): string[] =>
  Array.from({ length: layers }, (_, layer) => typeInMix(mix, { name, layer, layers, inputs }))

test(
  'Q4_K_M has Q6_K for the head, and for attn_v and ffn_down in the outer eighths and every third layer ' + 'between',
  () => {
    assert.equal(typeInMix('Q4_K_M', { name: 'output', layer: -1, layers: 16, inputs: 256 }), 'Q6_K')
    const six = (name: string): number[] =>
      types('Q4_K_M', name).flatMap((type, layer) => (type === 'Q6_K' ? [layer] : []))
    assert.deepEqual(six('ffn_down'), [0, 1, 4, 7, 10, 13, 14, 15])
    assert.deepEqual(six('attn_v'), six('ffn_down'))
    assert.deepEqual(new Set(types('Q4_K_M', 'attn_q')), new Set(['Q4_K']))
    assert.deepEqual(new Set(types('Q4_K_M', 'ffn_gate_inp')), new Set(['F32']))
  }
)

test('rows that are no whole super-block take the type of smaller blocks that llama.cpp takes', () => {
  assert.deepEqual(new Set(types('Q4_K_M', 'ffn_up', 576)), new Set(['Q5_0']))
  assert.deepEqual(new Set(types('Q4_K_M', 'ffn_down', 576)), new Set(['Q5_0', 'Q8_0']))
  assert.deepEqual(new Set(types('Q5_K_M', 'ffn_up', 96)), new Set(['Q5_1']))
  assert.deepEqual(new Set(types('Q8_0', 'ffn_up', 48)), new Set(['F16']))
  assert.deepEqual(new Set(types('F32', 'ffn_up', 7)), new Set(['F32']))
})

test('a separate head is Q6_K and the embedding beside it has the base type; 8 experts keep attn_v and attn_k', () => {
  const at = { layer: 0, layers: 16, inputs: 256 }
  assert.equal(typeInMix('Q4_K_M', { name: 'token_embd', ...at, head: false }), 'Q4_K')
  assert.equal(typeInMix('Q4_K_M', { name: 'token_embd', ...at, head: true }), 'Q6_K')
  assert.equal(typeInMix('Q4_K_M', { name: 'attn_k', ...at, experts: 8 }), 'Q8_0')
  assert.equal(typeInMix('Q4_K_M', { name: 'attn_k', ...at, experts: 4 }), 'Q4_K')
})

test('matrices that queries, keys and values share follow the rule of attn_v, and experts that of ffn_down', () => {
  assert.deepEqual(types('Q4_K_M', 'attn_qkv'), types('Q4_K_M', 'attn_v'))
  assert.deepEqual(types('Q3_K_M', 'ffn_down_exps'), types('Q3_K_M', 'ffn_down'))
})

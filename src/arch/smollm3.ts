/** SmolLM 3: Llama's block, where every fourth layer has no positions. */
import { decoder } from './decoder.ts'

export const smollm3 = decoder({
  kind: 'smollm3',
  norm: 'rms',
  norms: 'before',
  positions: 'neighbours',
  mlp: 'gated',
  activation: 'silu',
  rotated: (_, layer) => (layer + 1) % 4 !== 0,
  hf: {
    modelTypes: ['smollm3'],
    className: 'SmolLM3ForCausalLM',
    activation: ['silu'],
    only: { use_sliding_window: [null, false], no_rope_layer_interval: [null, 4] }
  }
})

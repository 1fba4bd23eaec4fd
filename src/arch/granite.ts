/**
 * Granite 3 and 4 without experts: Llama's block with scales of the embedding, the scores, each branch and the
 * logits.
 */
import { biasOptions } from './bias-options.ts'
import { decoder } from './decoder.ts'

export const granite = decoder({
  kind: 'granite',
  norm: 'rms',
  norms: 'before',
  positions: 'neighbours',
  mlp: 'gated',
  activation: 'silu',
  optionalBiases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'],
  uses: ['embeddingScale', 'attentionScale', 'residualScale', 'logitScale', 'ropeDivisors'],
  hf: {
    modelTypes: ['granite'],
    className: 'GraniteForCausalLM',
    activation: ['silu'],
    fields: {
      embeddingScale: 'embedding_multiplier',
      attentionScale: 'attention_multiplier',
      residualScale: 'residual_multiplier',
      logitScale: 'logits_scaling'
    },
    write: biasOptions
  }
})

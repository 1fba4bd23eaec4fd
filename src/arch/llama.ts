/**
 * Llama 2 and 3 and models with the same block: Mistral 7B and Nemo, SmolLM 1 and 2, TinyLlama, Yi, DeepSeek's
 * distilled Llamas, and Mixtral with experts. Files of Llama 3.1 and later contain divisors of the rotary frequencies.
 * Files with ternary projections are of the kind `bitnet`.
 */
import { biasOptions } from './bias-options.ts'
import { decoder } from './decoder.ts'

export const llama = decoder({
  kind: 'llama',
  norm: 'rms',
  norms: 'before',
  positions: 'neighbours',
  mlp: 'gated',
  activation: 'silu',
  optionalBiases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'],
  uses: ['attentionScale', 'ropeDivisors', 'experts', 'expertsUsed'],
  hf: {
    modelTypes: ['llama', 'mistral', 'mixtral'],
    className: 'LlamaForCausalLM',
    writtenType: ({ experts }) =>
      experts === undefined
        ? { className: 'LlamaForCausalLM', modelType: 'llama' }
        : { className: 'MixtralForCausalLM', modelType: 'mixtral' },
    activation: ['silu'],
    fields: { experts: 'num_local_experts', expertsUsed: 'num_experts_per_tok' },
    names: { ffn_gate_inp: 'block_sparse_moe.gate' },
    experts: { module: 'block_sparse_moe.experts', gate: 'w1', up: 'w3', down: 'w2' },
    only: { sliding_window: [null] },
    write: biasOptions
  }
})

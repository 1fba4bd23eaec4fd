/**
 * Qwen 3 with experts: the softmax of a router chooses some for each token, and their weights are normalised to a
 * sum of one.
 */
import { decoder } from './decoder.ts'
import { fail } from './fields.ts'

export const qwen3moe = decoder({
  kind: 'qwen3moe',
  norm: 'rms',
  norms: 'before',
  qkNorm: 'head',
  positions: 'halves',
  mlp: 'experts',
  activation: 'silu',
  uses: ['experts', 'expertsUsed', 'expertFfn'],
  hf: {
    modelTypes: ['qwen3_moe'],
    className: 'Qwen3MoeForCausalLM',
    activation: ['silu'],
    fields: { experts: 'num_experts', expertsUsed: 'num_experts_per_tok', expertFfn: 'moe_intermediate_size' },
    names: { ffn_gate_inp: 'mlp.gate' },
    experts: { module: 'mlp.experts', gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
    only: {
      norm_topk_prob: [true],
      decoder_sparse_step: [null, 1],
      use_sliding_window: [null, false],
      attention_bias: [null, false]
    },
    derive: ({ mlp_only_layers: plain, num_experts: experts, num_local_experts: local }) =>
      plain === undefined || (Array.isArray(plain) && plain.length === 0)
        ? { experts: experts ?? local } // transformers 5 writes the second name
        : fail('mlp_only_layers', 'names layers without experts, which is not supported'),
    write: () => ({ norm_topk_prob: true, decoder_sparse_step: 1, mlp_only_layers: [] })
  }
})

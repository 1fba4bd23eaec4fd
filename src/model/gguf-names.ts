/** What the parameters are called in a GGUF file: llama.cpp's names of `gpt2`, `bitnet` and `llama`, which are also those of the released `bitnet-b1.58` files. */
import type { ModelConfig } from './config.ts'

const OUTER: Readonly<Record<string, string>> = {
  token_embedding: 'token_embd.weight', position_embedding: 'position_embd.weight',
  'head.weight': 'output.weight', 'final_norm.weight': 'output_norm.weight', 'final_norm.bias': 'output_norm.bias',
}

/** Inside a block. */
const INNER: Readonly<Record<ModelConfig['kind'], Readonly<Record<string, string>>>> = {
  gpt: { attn_norm: 'attn_norm', attn_qkv: 'attn_qkv', attn_out: 'attn_output', mlp_norm: 'ffn_norm', mlp_up: 'ffn_up', mlp_down: 'ffn_down' },
  bitnet: {
    attn_norm: 'attn_norm', attn_q: 'attn_q', attn_k: 'attn_k', attn_v: 'attn_v', attn_sub_norm: 'attn_sub_norm', attn_out: 'attn_output',
    mlp_norm: 'ffn_norm', mlp_gate: 'ffn_gate', mlp_up: 'ffn_up', mlp_sub_norm: 'ffn_sub_norm', mlp_down: 'ffn_down',
  },
}

/** The GGUF name of a parameter: 'blocks.3.attn_out.weight' -> 'blk.3.attn_output.weight'. */
export function ggufName(kind: ModelConfig['kind'], parameter: string): string {
  const outer = OUTER[parameter]
  if (outer !== undefined) return outer
  const [, block, layer, suffix] = parameter.split('.') as [string, string, string, string]
  return `blk.${block}.${INNER[kind][layer]}.${suffix}`
}

/** Where a file may have a further factor of a ternary matrix, of one element: 'blk.0.attn_q.weight' -> 'blk.0.attn_q.scale'. */
export const scaleName = (matrix: string): string => matrix.replace(/weight$/, 'scale')

/** Where folders of Hugging Face's transformers keep the parameters of a decoder. */
import type { HfPart, Parameter } from './architecture.ts'
import type { HfDescription } from './description.ts'

/** Names inside a block. */
const INNER: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_qkv: 'self_attn.qkv_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj'
}

const OUTER: Readonly<Record<string, string>> = {
  token_embedding: 'model.embed_tokens.weight',
  'head.weight': 'lm_head.weight',
  'final_norm.weight': 'model.norm.weight',
  'final_norm.bias': 'model.norm.bias'
}

/** 'blocks.3.attn_q.weight' -> 'model.layers.3.self_attn.q_proj.weight'. */
export function hfTensorName(parameter: string, hf: HfDescription): string {
  const outer = hf.outer?.[parameter] ?? OUTER[parameter]
  if (outer !== undefined) return outer
  const [, block, ...rest] = parameter.split('.')
  const suffix = rest.pop()!
  const layer = rest.join('.')
  return `${hf.blocks ?? 'model.layers'}.${block}.${hf.names?.[layer] ?? INNER[layer]}.${suffix}`
}

/** The name as it is, and the name without the optional prefix. */
export function hfNames(parameter: string, hf: HfDescription): string[] {
  const name = hfTensorName(parameter, hf)
  const { optionalPrefix } = hf
  return optionalPrefix !== undefined && name.startsWith(optionalPrefix)
    ? [name, name.slice(optionalPrefix.length)]
    : [name]
}

/** 'blocks.3.attn_q.weight' -> 'attn_q'. */
const layerOf = (parameter: string): string => parameter.split('.').slice(2, -1).join('.')

export function hfLayouts(p: Parameter, hf: HfDescription): readonly (readonly HfPart[])[] {
  if (p.shape.length === 3) return expertLayouts(p, hf)
  const layer = layerOf(p.name)
  const transposed = p.shape.length === 2 && hf.transposed?.includes(layer) === true
  const convolution = hf.convolutions?.includes(layer) === true
  const [first, second] = p.shape
  let { shape } = p
  if (transposed) shape = [second!, first!]
  if (convolution) shape = [first!, 1, second!]
  return hfNames(p.name, hf).map(name => [{ name, shape, ...(transposed ? { transposed: true as const } : {}) }])
}

/** A matrix of each expert, or all in one tensor, with the gates before the others. */
function expertLayouts({ name, shape }: Parameter, hf: HfDescription): readonly (readonly HfPart[])[] {
  const { module, ...matrices } = hf.experts!
  const [count, rows, inputs] = shape as [number, number, number]
  const which = /ffn_(gate|up|down)_exps/.exec(name)![1] as 'gate' | 'up' | 'down'
  const block = `${hf.blocks ?? 'model.layers'}.${name.split('.')[1]}.${module}`
  const each = Array.from({ length: count }, (_, e): HfPart => ({
    name: `${block}.${e}.${matrices[which]}.weight`,
    shape: [rows, inputs]
  }))
  if (which === 'down') return [each, [{ name: `${block}.down_proj`, shape }]]
  const joined = Array.from({ length: count }, (_, e): HfPart => ({
    name: `${block}.gate_up_proj`,
    shape: [count, 2 * rows, inputs],
    from: (2 * e + (which === 'gate' ? 0 : 1)) * rows,
    rows
  }))
  return [each, joined]
}

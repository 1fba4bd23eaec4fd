/** The parameters of a decoder. Inside a block they have GGUF's names. */
import type { Parameter } from './architecture.ts'
import type { DecoderConfig } from './decoder-config.ts'
import type { Description } from './description.ts'
import { parameterList } from './parameter-list.ts'
import type { ParameterList } from './parameter-list.ts'

/** Whether a layer has attention; the others have a short convolution. */
export const hasAttention = ({ attentionLayers }: DecoderConfig, layer: number): boolean =>
  attentionLayers === undefined || attentionLayers.includes(layer)

/** Whether the feed-forward layers are experts. */
export const hasExperts = ({ experts }: DecoderConfig): boolean => experts !== undefined

/** Width of an expert's feed-forward layer. Default: that of the other layers. */
const expertWidth = ({ expertFfn, ffn }: DecoderConfig): number => expertFfn ?? ffn

export function decoderParameters(c: DecoderConfig, d: Description): Parameter[] {
  const { layers, hidden, vocab, context } = c
  const lists = parameterList(d.norm === 'layer')
  const { list, put, norm } = lists
  put('token_embedding', [vocab, hidden], 'normal')
  if (d.positions === 'learned') put('position_embedding', [context, hidden], 'normal', { whole: true })
  for (let l = 0; l < layers; l++) {
    const at = `blocks.${l}.`
    if (d.norms !== 'after') norm(`${at}attn_norm`, hidden)
    if (hasAttention(c, l)) attention(lists, at, c, d)
    else convolution(lists, at, c)
    if (d.norms !== 'before') norm(`${at}post_attention_norm`, hidden)
    if (d.norms !== 'after') norm(`${at}ffn_norm`, hidden)
    if (hasExperts(c)) experts(lists, at, c)
    else mlp(lists, at, c, d)
    if (d.norms !== 'before') norm(`${at}post_ffw_norm`, hidden)
  }
  if (!c.tied) put('head.weight', [vocab, hidden], 'normal')
  norm('final_norm', hidden)
  return list
}

/** Linear layers of a block with the biases that the model has. */
function linearOf({ linear }: ParameterList, at: string, c: DecoderConfig, d: Description) {
  return (name: string, out: number, inputs: number, init: Parameter['init'] = 'normal'): void => {
    const bias = d.biases?.includes(name) === true || c.biases?.includes(name) === true
    linear(`${at}${name}`, out, inputs, { bias, init })
  }
}

function attention(lists: ParameterList, at: string, c: DecoderConfig, d: Description): void {
  const { hidden, heads, kvHeads, headDim } = c
  const linear = linearOf(lists, at, c, d)
  const [width, kvWidth] = [heads * headDim, kvHeads * headDim]
  if (d.fusedQkv === true) linear('attn_qkv', width + 2 * kvWidth, hidden)
  else {
    linear('attn_q', width, hidden)
    linear('attn_k', kvWidth, hidden)
    linear('attn_v', kvWidth, hidden)
  }
  if (d.qkNorm !== undefined) {
    lists.norm(`${at}attn_q_norm`, d.qkNorm === 'head' ? headDim : width, { bias: false })
    lists.norm(`${at}attn_k_norm`, d.qkNorm === 'head' ? headDim : kvWidth, { bias: false })
  }
  linear('attn_output', hidden, width, 'residual')
}

function convolution({ put, linear }: ParameterList, at: string, { hidden, convWidth }: DecoderConfig): void {
  linear(`${at}shortconv.in_proj`, 3 * hidden, hidden, { bias: false })
  put(`${at}shortconv.conv.weight`, [hidden, convWidth!], 'normal', { whole: true })
  linear(`${at}shortconv.out_proj`, hidden, hidden, { bias: false, init: 'residual' })
}

function mlp(lists: ParameterList, at: string, c: DecoderConfig, d: Description): void {
  const linear = linearOf(lists, at, c, d)
  const { hidden, ffn } = c
  if (d.mlp === 'gated') linear('ffn_gate', ffn, hidden)
  linear('ffn_up', d.mlp === 'fused' ? 2 * ffn : ffn, hidden)
  linear('ffn_down', hidden, ffn, 'residual')
}

function experts({ put, linear }: ParameterList, at: string, c: DecoderConfig): void {
  const [count, width] = [c.experts!, expertWidth(c)]
  linear(`${at}ffn_gate_inp`, count, c.hidden, { bias: false })
  put(`${at}ffn_gate_exps.weight`, [count, width, c.hidden], 'normal')
  put(`${at}ffn_up_exps.weight`, [count, width, c.hidden], 'normal')
  put(`${at}ffn_down_exps.weight`, [count, c.hidden, width], 'residual')
}

/**
 * The parameters of a model: names, shapes, starting values and order. The order is that of the flat weight buffer
 * (matrices first, so that weight decay ends at one index); the index, as the stream of the random generator, fixes the starting values.
 */
import type { BitnetConfig, ModelConfig } from './config.ts'
import { keyHeads, headWidth } from './config.ts'

export interface Parameter {
  readonly name: string
  /** [out, in] for a linear layer, [rows, hidden] for an embedding, [width] for a norm or bias. */
  readonly shape: readonly number[]
  /** 'normal': N(0, 0.02); 'residual': the same divided by sqrt(2 · layers), for what adds to the residual stream; 'one' and 'zero': constants. */
  readonly init: 'normal' | 'residual' | 'one' | 'zero'
  /** Multiplied as ternary weights by a BitLinear. */
  readonly ternary: boolean
  /** Elements [from, to) whose gradient is zero in exact arithmetic; see `clearZeroGradients`. */
  readonly zeroGradient?: readonly [from: number, to: number]
}

/** The named parameters of a model, matrices first, then vectors; inside each group in the order in which the model uses them. */
export function parametersOf(config: ModelConfig): Parameter[] {
  const list: Parameter[] = []
  const put: Put = (name, shape, init, ternary = false) => {
    const keyBias = name.endsWith('attn_qkv.bias')
    list.push({ name, shape, init, ternary, ...(keyBias ? { zeroGradient: [hidden, 2 * hidden] as const } : {}) })
  }
  const { layers, hidden, ffn, vocab, context } = config
  put('token_embedding', [vocab, hidden], 'normal')
  if (config.kind === 'gpt') put('position_embedding', [context, hidden], 'normal')
  for (let l = 0; l < layers; l++) {
    const at = `blocks.${l}.`
    if (config.kind === 'gpt') gptBlock(put, at, hidden, ffn, config.bias)
    else bitnetBlock(put, at, config)
  }
  if (config.kind === 'bitnet' && !config.tied) put('head.weight', [vocab, hidden], 'normal')
  put('final_norm.weight', [hidden], 'one')
  if (config.kind === 'gpt' && config.bias) put('final_norm.bias', [hidden], 'zero')
  return [...list.filter(p => p.shape.length === 2), ...list.filter(p => p.shape.length === 1)]
}

type Put = (name: string, shape: number[], init: Parameter['init'], ternary?: boolean) => void

function gptBlock(put: Put, at: string, hidden: number, ffn: number, bias: boolean): void {
  const layer = (name: string, out: number, inputs: number, init: Parameter['init']): void => {
    put(`${at}${name}.weight`, [out, inputs], init)
    if (bias) put(`${at}${name}.bias`, [out], 'zero')
  }
  const norm = (name: string): void => {
    put(`${at}${name}.weight`, [hidden], 'one')
    if (bias) put(`${at}${name}.bias`, [hidden], 'zero')
  }
  norm('attn_norm')
  layer('attn_qkv', 3 * hidden, hidden, 'normal')
  layer('attn_out', hidden, hidden, 'residual')
  norm('mlp_norm')
  layer('mlp_up', ffn, hidden, 'normal')
  layer('mlp_down', hidden, ffn, 'residual')
}

function bitnetBlock(put: Put, at: string, config: BitnetConfig): void {
  const { hidden, ffn, subNorms } = config, keyWidth = keyHeads(config) * headWidth(config)
  put(`${at}attn_norm.weight`, [hidden], 'one')
  put(`${at}attn_q.weight`, [hidden, hidden], 'normal', true)
  put(`${at}attn_k.weight`, [keyWidth, hidden], 'normal', true)
  put(`${at}attn_v.weight`, [keyWidth, hidden], 'normal', true)
  if (subNorms) put(`${at}attn_sub_norm.weight`, [hidden], 'one')
  put(`${at}attn_out.weight`, [hidden, hidden], 'residual', true)
  put(`${at}mlp_norm.weight`, [hidden], 'one')
  put(`${at}mlp_gate.weight`, [ffn, hidden], 'normal', true)
  put(`${at}mlp_up.weight`, [ffn, hidden], 'normal', true)
  if (subNorms) put(`${at}mlp_sub_norm.weight`, [ffn], 'one')
  put(`${at}mlp_down.weight`, [hidden, ffn], 'residual', true)
}

/** Elements of one parameter. */
export const elementsOf = (parameter: Parameter): number => parameter.shape.reduce((a, b) => a * b, 1)

/** Elements of all parameters; the tied head counts once. */
export const parameterCount = (config: ModelConfig): number => parametersOf(config).reduce((n, p) => n + elementsOf(p), 0)

/**
 * Sets to zero the gradients that are zero in exact arithmetic: those of a key bias, which adds the same to every score of a row, where softmax does
 * not see it. What rounding leaves there (about 1e-9) AdamW would turn into steps of a visible size, for it divides by the gradient's own size.
 */
export function clearZeroGradients(parameters: readonly Parameter[], gradient: (p: Parameter) => Float32Array): void {
  for (const p of parameters) if (p.zeroGradient !== undefined) gradient(p).fill(0, ...p.zeroGradient)
}

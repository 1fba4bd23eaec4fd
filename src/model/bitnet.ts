/**
 * The BitNet b1.58 decoder as operations, in the shape of the 2B4T model (arXiv 2504.12285): RMSNorm, rotary positions by rotated halves,
 * grouped key heads, a feed-forward gated by the squared ReLU, and an extra norm before the two output projections (SubLN). Others of the family
 * have SiLU in the gate (1bitLLM's), and no extra norms either (Llama with ternary projections).
 */
import { cosCore, expCore, logCore, sinCore } from '../lib/functions.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import type { BitnetConfig } from './config.ts'
import { headWidth } from './config.ts'
import type { Placement } from './placement.ts'
import type { Weights } from './weights.ts'

/** Rows of tokens -> rows of the final norm [N, hidden]. */
export function bitnetForward(g: Graph, config: BitnetConfig, w: Weights, at: Placement): Tensor {
  const { heads, kvHeads, eps } = config
  const { cacheRow, pages, sequence, length, cacheRows, context } = at
  const half = headWidth(config) / 2
  const table = rotaryTable(config, context)
  const cos = g.constant('rotary.cos', table.cos, [context, half])
  const sin = g.constant('rotary.sin', table.sin, [context, half])
  const norm = (x: Tensor, name: string): Tensor => g.rmsNorm(x, w.tensor(`${name}.weight`), eps)
  const subNorm = (x: Tensor, name: string): Tensor => (config.subNorms ? norm(x, name) : x)

  let x = w.embed(at.ids)
  for (let l = 0; l < config.layers; l++) {
    const block = `blocks.${l}.`
    const project = (y: Tensor, name: string): Tensor => w.bitLinear(y, `${block}${name}.weight`)
    const n = norm(x, `${block}attn_norm`)
    const q = g.rope(project(n, 'attn_q'), at.positions, cos, sin, heads)
    const k = g.rope(project(n, 'attn_k'), at.positions, cos, sin, kvHeads)
    const a = g.attention(q, k, project(n, 'attn_v'), { heads, kvHeads, context, cacheRows, cacheRow, pages, sequence, length, ...at.cache?.(l) })
    x = g.add(x, project(subNorm(a, `${block}attn_sub_norm`), 'attn_out'))
    const m = norm(x, `${block}mlp_norm`)
    const [gate, up] = [project(m, 'mlp_gate'), project(m, 'mlp_up')]
    const gated = config.activation === 'silu' ? g.siluGate(gate, up) : g.reluSquareGate(gate, up)
    x = g.add(x, project(subNorm(gated, `${block}mlp_sub_norm`), 'mlp_down'))
  }
  return norm(x, 'final_norm')
}

/**
 * Cosines and sines of position · theta^(-2i/D) [context, D/2], worked out in f64 and rounded once. Theta is taken as an f32, which is what a
 * GGUF file keeps.
 * @param context positions, from 0
 */
export function rotaryTable(config: BitnetConfig, context: number): { cos: Float32Array; sin: Float32Array } {
  const width = headWidth(config)
  const half = width / 2
  const cos = new Float32Array(context * half)
  const sin = new Float32Array(context * half)
  const logTheta = logCore(Math.fround(config.theta))
  for (let i = 0; i < half; i++) {
    const frequency = expCore(((-2 * i) / width) * logTheta)
    for (let p = 0; p < context; p++) {
      cos[p * half + i] = cosCore(p * frequency)
      sin[p * half + i] = sinCore(p * frequency)
    }
  }
  return { cos, sin }
}

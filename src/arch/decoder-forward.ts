/** The forward pass of a decoder, from its description. */
import type { Graph, Tensor } from '../graph/graph.ts'
import { logCore } from '../lib/functions.ts'
import { rotaryOf } from './decoder-config.ts'
import type { DecoderConfig } from './decoder-config.ts'
import { hasAttention, hasExperts } from './decoder-parameters.ts'
import type { Description } from './description.ts'
import type { Placement } from './placement.ts'
import { rotaryTable } from './rotary.ts'
import type { Rotary } from './rotary.ts'
import type { Weights } from './weights.ts'

/** Rows of the final norm -> logits, divided and capped as the model does. */
export function decoderLogits(g: Graph, c: DecoderConfig, w: Weights, x: Tensor, top?: Tensor): Tensor {
  const logits = scaled(g, w.head(x, top), 'logit.scale', c.logitScale === undefined ? undefined : 1 / c.logitScale)
  return c.finalSoftcap === undefined ? logits : g.softcap(logits, c.finalSoftcap)
}

function scaled(g: Graph, x: Tensor, name: string, factor: number | undefined): Tensor {
  return factor === undefined || factor === 1 ? x : g.scale(x, g.constant(name, Float32Array.of(factor), [1]))
}

/** Rows of tokens -> rows of the final norm [N, hidden]. */
export function decoderForward(g: Graph, c: DecoderConfig, d: Description, w: Weights, at: Placement): Tensor {
  const pass = new ForwardPass(g, c, d, w, at)
  let x = scaled(g, w.embed(at.ids), 'embedding.scale', c.embeddingScale)
  if (d.positions === 'learned') x = g.add(x, g.embedding(w.tensor('position_embedding'), at.positions))
  for (let layer = 0; layer < c.layers; layer++) x = pass.block(x, layer)
  return pass.norm(x, 'final_norm')
}

/** The factor of queries that keeps attention sharp beyond the original context (Mistral 3). */
function temperature({
  temperatureScale = 0,
  ropeOriginalContext,
  context
}: DecoderConfig): (position: number) => number {
  return position => 1 + temperatureScale * logCore(1 + Math.floor(position / (ropeOriginalContext ?? context)))
}

/** Cosines and sines of the positions in one graph. */
interface Angles {
  readonly cos: Tensor
  readonly sin: Tensor
}

class ForwardPass {
  #g: Graph
  #c: DecoderConfig
  #d: Description
  #w: Weights
  #at: Placement
  #angles = new Map<string, Angles>()
  #residual: Tensor | undefined

  constructor(g: Graph, c: DecoderConfig, d: Description, w: Weights, at: Placement) {
    this.#g = g
    this.#c = c
    this.#d = d
    this.#w = w
    this.#at = at
    const { residualScale = 1 } = c
    if (residualScale !== 1) this.#residual = g.constant('residual.scale', Float32Array.of(residualScale), [1])
  }

  block(x: Tensor, layer: number): Tensor {
    const { norms } = this.#d
    const block = `blocks.${layer}.`
    const before = (y: Tensor, name: string): Tensor => (norms === 'after' ? y : this.norm(y, `${block}${name}`))
    const after = (y: Tensor, name: string): Tensor => (norms === 'before' ? y : this.norm(y, `${block}${name}`))
    const mix = hasAttention(this.#c, layer) ? this.#attention : this.#convolution
    const a = mix.call(this, before(x, 'attn_norm'), block, layer)
    const y = this.#add(x, after(a, 'post_attention_norm'))
    const n = before(y, 'ffn_norm')
    const f = hasExperts(this.#c) ? this.#experts(n, block) : this.#mlp(n, block)
    return this.#add(y, after(f, 'post_ffw_norm'))
  }

  norm(x: Tensor, name: string): Tensor {
    const gain = this.#w.tensor(`${name}.weight`)
    return this.#d.norm === 'rms'
      ? this.#g.rmsNorm(x, gain, this.#c.eps)
      : this.#g.layerNorm(x, gain, this.#w.bias(name), this.#c.eps)
  }

  #add(x: Tensor, branch: Tensor): Tensor {
    return this.#g.add(x, this.#residual === undefined ? branch : this.#g.scale(branch, this.#residual))
  }

  #attention(n: Tensor, block: string, layer: number): Tensor {
    const { heads, kvHeads, attentionScale, attentionSoftcap, window = 0 } = this.#c
    const { cacheRow, pages, sequence, length, cacheRows, context } = this.#at
    const [q, k, v] = this.#projections(n, block)
    const windowed = window > 0 && window < context && (this.#d.windowed?.(this.#c, layer) ?? true)
    const a = this.#g.attention(
      this.#rotate(this.#qkNorm(q, `${block}attn_q_norm`, heads), heads, layer, 'query'),
      this.#rotate(this.#qkNorm(k, `${block}attn_k_norm`, kvHeads), kvHeads, layer, 'key'),
      v,
      {
        heads,
        kvHeads,
        context,
        cacheRows,
        cacheRow,
        pages,
        sequence,
        length,
        ...this.#at.cache?.(layer),
        ...(attentionScale === undefined ? {} : { scale: attentionScale }),
        ...(attentionSoftcap === undefined ? {} : { softcap: attentionSoftcap }),
        ...(windowed ? { window } : {})
      }
    )
    return this.#w.linear(a, `${block}attn_output`)
  }

  #projections(n: Tensor, block: string): [q: Tensor, k: Tensor, v: Tensor] {
    const { heads, kvHeads, headDim } = this.#c
    const project = (name: string): Tensor => this.#w.linear(n, `${block}${name}`)
    if (this.#d.fusedQkv !== true) return [project('attn_q'), project('attn_k'), project('attn_v')]
    return this.#g.split(project('attn_qkv'), [heads * headDim, kvHeads * headDim, kvHeads * headDim]) as [
      Tensor,
      Tensor,
      Tensor
    ]
  }

  #qkNorm(x: Tensor, name: string, heads: number): Tensor {
    const { qkNorm } = this.#d
    if (qkNorm === undefined) return x
    return this.#g.rmsNorm(x, this.#w.tensor(`${name}.weight`), this.#c.eps, qkNorm === 'head' ? heads : 1)
  }

  #rotate(x: Tensor, heads: number, layer: number, of: 'query' | 'key'): Tensor {
    if (this.#d.positions === 'learned' || this.#d.rotated?.(this.#c, layer) === false) return x
    const { cos, sin } = this.#anglesOf(layer, of)
    return this.#g.rope(x, this.#at.positions, cos, sin, heads)
  }

  #anglesOf(layer: number, of: 'query' | 'key'): Angles {
    const { ropeThetaLocal, temperatureScale = 0 } = this.#c
    if (ropeThetaLocal !== undefined && this.#d.windowed?.(this.#c, layer) === true) {
      return this.#table('rotary.local', { theta: ropeThetaLocal, dim: this.#c.ropeDim! })
    }
    const rotary = rotaryOf(this.#c, this.#at.context)
    // Rotated vectors are multiplied as their cosines and sines are.
    return of === 'query' && temperatureScale > 0
      ? this.#table('rotary.query', rotary, temperature(this.#c))
      : this.#table('rotary', rotary)
  }

  #table(name: string, rotary: Rotary, magnitude?: (position: number) => number): Angles {
    const known = this.#angles.get(name)
    if (known !== undefined) return known
    const { context } = this.#at
    const shape = [context, rotary.dim / 2]
    const { cos, sin } = rotaryTable(rotary, context, magnitude)
    const made = { cos: this.#g.constant(`${name}.cos`, cos, shape), sin: this.#g.constant(`${name}.sin`, sin, shape) }
    this.#angles.set(name, made)
    return made
  }

  /** [b; c; x] of one projection: c times the convolution of b times x over time (LFM2). */
  #convolution(n: Tensor, block: string, layer: number): Tensor {
    const { hidden } = this.#c
    const { cacheRow, pages, sequence, length, cacheRows, context } = this.#at
    const [b, c, x] = this.#g.split(this.#w.linear(n, `${block}shortconv.in_proj`), [hidden, hidden, hidden]) as [
      Tensor,
      Tensor,
      Tensor
    ]
    const states = this.#at.cache?.(layer).values
    const mixed = this.#g.shortConv(this.#g.multiply(b, x), this.#w.tensor(`${block}shortconv.conv.weight`), {
      context,
      cacheRows,
      cacheRow,
      pages,
      sequence,
      length,
      ...(states === undefined ? {} : { state: states })
    })
    return this.#w.linear(this.#g.multiply(c, mixed), `${block}shortconv.out_proj`)
  }

  #gate(gate: Tensor, up: Tensor): Tensor {
    return this.#d.activation === 'silu' ? this.#g.siluGate(gate, up) : this.#g.geluTanhGate(gate, up)
  }

  #mlp(n: Tensor, block: string): Tensor {
    const { ffn } = this.#c
    const up = this.#w.linear(n, `${block}ffn_up`)
    if (this.#d.mlp === 'plain') return this.#w.linear(this.#g.geluTanh(up), `${block}ffn_down`)
    const [gate, value] =
      this.#d.mlp === 'fused'
        ? (this.#g.split(up, [ffn, ffn]) as [Tensor, Tensor])
        : [this.#w.linear(n, `${block}ffn_gate`), up]
    return this.#w.linear(this.#gate(gate, value), `${block}ffn_down`)
  }

  /** Each token's experts, chosen by the softmax of the router, with weights that sum to one. */
  #experts(n: Tensor, block: string): Tensor {
    const router = this.#w.linear(n, `${block}ffn_gate_inp`)
    const { experts, weights } = this.#g.topExperts(router, this.#c.expertsUsed!, {
      normalise: true,
      gating: 'softmax'
    })
    const of = (x: Tensor, name: string): Tensor => this.#w.expertLinear(x, `${block}${name}`, experts)
    const hidden = this.#gate(of(n, 'ffn_gate_exps'), of(n, 'ffn_up_exps'))
    return this.#g.expertSum(of(hidden, 'ffn_down_exps'), weights)
  }
}

/**
 * BitNet b1.58 (arXiv 2504.12285) in float64 and plain loops, written from the paper and Hugging Face's
 * `modeling_bitnet.py`, not from Verit's graph: what the implementation is compared with where a reference computed by
 * others does not exist. One sequence, one token at a time.
 */
import type { BitnetConfig } from '../src/model/config.ts'

export interface DefinitionWeights {
  /** Row-major [out, in]: trits and their scale. */
  ternary(name: string): { trits: Int8Array; scale: number }
  /** Vectors and the embedding. */
  floats(name: string): Float32Array
}

export class BitnetDefinition {
  #config: BitnetConfig
  #weights: DefinitionWeights
  /** By layer and position. */
  #keys: Float64Array[][]
  #values: Float64Array[][]

  constructor(config: BitnetConfig, weights: DefinitionWeights) {
    this.#config = config
    this.#weights = weights
    this.#keys = Array.from({ length: config.layers }, () => [])
    this.#values = Array.from({ length: config.layers }, () => [])
  }

  /** Logits after the next token of the sequence. */
  next(id: number): Float64Array {
    const { layers, hidden, heads, kvHeads, vocab } = this.#config
    const width = hidden / heads
    const table = this.#weights.floats('token_embedding')
    const position = this.#keys[0]!.length
    let x = Float64Array.from(table.subarray(id * hidden, (id + 1) * hidden))
    for (let l = 0; l < layers; l++) {
      const at = `blocks.${l}.`
      const n = this.#norm(x, `${at}attn_norm`)
      const q = this.#rotate(this.#linear(n, `${at}attn_q`), position, width)
      this.#keys[l]!.push(this.#rotate(this.#linear(n, `${at}attn_k`), position, width))
      this.#values[l]!.push(this.#linear(n, `${at}attn_v`))
      const a = new Float64Array(hidden)
      for (let h = 0; h < heads; h++) this.#attend(a, q, l, h * width, Math.floor(h / (heads / kvHeads)) * width, width)
      x = sum(x, this.#linear(this.#norm(a, `${at}attn_sub_norm`), `${at}attn_out`))
      const m = this.#norm(x, `${at}mlp_norm`)
      const up = this.#linear(m, `${at}mlp_up`)
      const gated = this.#linear(m, `${at}mlp_gate`).map((g, i) => Math.max(g, 0) ** 2 * up[i]!)
      x = sum(x, this.#linear(this.#norm(gated, `${at}mlp_sub_norm`), `${at}mlp_down`))
    }
    const out = this.#norm(x, 'final_norm')
    return Float64Array.from({ length: vocab }, (_, v) =>
      out.reduce((total, y, i) => total + y * table[v * hidden + i]!, 0)
    )
  }

  #norm(x: Float64Array, name: string): Float64Array {
    const gain = this.#weights.floats(`${name}.weight`)
    const scale = 1 / Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length + Math.fround(this.#config.eps))
    return x.map((v, i) => v * scale * gain[i]!)
  }

  /** The input rounded to 127 steps of its largest magnitude, half to even. */
  #linear(x: Float64Array, name: string): Float64Array {
    const { trits, scale } = this.#weights.ternary(`${name}.weight`)
    const s =
      127 /
      Math.max(
        x.reduce((most, v) => Math.max(most, Math.abs(v)), 0),
        1e-5
      )
    const MAGIC = 1.5 * 2 ** 52
    const q = x.map(v => Math.max(-128, Math.min(127, v * s + MAGIC - MAGIC)))
    const y = new Float64Array(trits.length / x.length)
    for (let o = 0, w = 0; o < y.length; o++) {
      let acc = 0
      for (let k = 0; k < q.length; k++) acc += q[k]! * trits[w++]!
      y[o] = (acc * scale) / s
    }
    return y
  }

  #rotate(x: Float64Array, position: number, width: number): Float64Array {
    const half = width / 2
    return x.map((v, i) => {
      const within = i % width
      const pair = within % half
      const angle = position * Math.fround(this.#config.ropeTheta) ** (-pair / half)
      return v * Math.cos(angle) + (within < half ? -x[i + half]! : x[i - half]!) * Math.sin(angle)
    })
  }

  #attend(out: Float64Array, q: Float64Array, layer: number, at: number, from: number, width: number): void {
    const dot = (key: Float64Array): number => {
      let total = 0
      for (let d = 0; d < width; d++) total += q[at + d]! * key[from + d]!
      return total / Math.sqrt(width)
    }
    const scores = this.#keys[layer]!.map(dot)
    const most = Math.max(...scores)
    const weights = scores.map(s => Math.exp(s - most))
    const total = weights.reduce((a, b) => a + b)
    for (const [j, w] of weights.entries())
      for (let d = 0; d < width; d++) out[at + d]! += (w / total) * this.#values[layer]![j]![from + d]!
  }
}

const sum = (a: Float64Array, b: Float64Array): Float64Array<ArrayBuffer> => Float64Array.from(a, (v, i) => v + b[i]!)

/**
 * The GPT-2-like decoder as operations: pre-LayerNorm blocks, learned positions, fused QKV, exact GELU (Radford et al. 2019, with the
 * options of nanoGPT). The head is the token embedding; see `head` in forward.ts.
 */
import type { Graph, Tensor } from '../graph/graph.ts'
import type { GptConfig } from './config.ts'
import type { Placement } from './placement.ts'
import type { Weights } from './weights.ts'

/** Rows of tokens -> rows of the final norm [N, hidden]. */
export function gptForward(g: Graph, config: GptConfig, w: Weights, at: Placement): Tensor {
  const { heads, hidden, eps } = config
  const { cacheRow, pages, sequence, length, cacheRows, context } = at
  const norm = (x: Tensor, name: string): Tensor => g.layerNorm(x, w.tensor(`${name}.weight`), w.bias(name), eps)
  const linear = (x: Tensor, name: string): Tensor => w.linear(x, `${name}.weight`, w.bias(name))
  let site = 0
  const drop = (x: Tensor): Tensor => (at.rng === undefined ? x : g.dropout(x, at.rng, site++, config.dropout))

  let x = drop(g.add(w.embed(at.ids), g.embedding(w.tensor('position_embedding'), at.positions)))
  for (let l = 0; l < config.layers; l++) {
    const block = `blocks.${l}.`
    const [q, k, v] = g.split(linear(norm(x, `${block}attn_norm`), `${block}attn_qkv`), [hidden, hidden, hidden]) as [Tensor, Tensor, Tensor]
    const a = g.attention(q, k, v, { heads, kvHeads: heads, context, cacheRows, cacheRow, pages, sequence, length, ...at.cache?.(l) })
    x = g.add(x, drop(linear(a, `${block}attn_out`)))
    x = g.add(x, drop(linear(g.gelu(linear(norm(x, `${block}mlp_norm`), `${block}mlp_up`)), `${block}mlp_down`)))
  }
  return norm(x, 'final_norm')
}

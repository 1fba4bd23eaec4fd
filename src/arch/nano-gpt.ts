/**
 * Checkpoints of nanoGPT and of programs with its model class: GPT-2's names, matrices of linear layers as [out, in],
 * the exact GELU, a configuration beside the weights. Such a model is of the kind `gpt`.
 */
import type { HfFormat } from './architecture.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'
import { gpt } from './gpt.ts'
import type { GptConfig } from './gpt.ts'

const BLOCK = 'transformer.h.0.'
const BIASES = [`${BLOCK}ln_1.bias`, `${BLOCK}attn.c_attn.bias`]

export const nanoGpt: HfFormat<GptConfig> = {
  modelTypes: [],
  read(json: Fields, has) {
    const biases = BIASES.filter(has).length
    if (biases === 1) fail('bias', 'is neither true nor false: only some layers have biases')
    for (const name of ['n_layer', 'n_head', 'n_embd', 'block_size', 'vocab_size'])
      if (typeof json[name] !== 'number') fail(name, 'is missing')
    return gpt.parse({
      layers: json['n_layer'],
      heads: json['n_head'],
      hidden: json['n_embd'],
      context: json['block_size'],
      vocab: json['vocab_size'],
      bias: biases > 0,
      dropout: 0,
      eps: 1e-5
    }) as GptConfig
  },
  write: () => fail('kind', 'is written as GPT-2'),
  layouts: p => gpt.hf!.layouts(p).map(layout => layout.map(({ name }) => ({ name, shape: p.shape }))),
  addend: () => 0,
  // Masks of causal attention.
  ignored: /^transformer\.h\.\d+\.attn\.(?:bias|mask|masked_bias|causal_mask)$/
}

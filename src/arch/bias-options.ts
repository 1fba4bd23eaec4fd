/** The options of `config.json` for biases of whole groups of linear layers. */
import type { DecoderConfig } from './decoder-config.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'

/** Whether all layers of a group have biases. @throws VeritError VERIT_MODEL_CONFIG if only some have */
export function allHaveBiases({ biases = [] }: DecoderConfig, group: readonly string[]): boolean {
  const some = group.filter(name => biases.includes(name))
  if (some.length > 0 && some.length < group.length)
    return fail('biases', `are ${some.join(', ')}, and transformers has an option for all of ${group.join(', ')} only`)
  return some.length > 0
}

/** Those of Llama's block. */
export const biasOptions = (c: DecoderConfig): Fields => ({
  attention_bias: allHaveBiases(c, ['attn_q', 'attn_k', 'attn_v', 'attn_output']),
  ...(c.experts === undefined ? { mlp_bias: allHaveBiases(c, ['ffn_gate', 'ffn_up', 'ffn_down']) } : {})
})

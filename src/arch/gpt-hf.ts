/** A GPT of Verit as GPT-2 of Hugging Face's transformers, with the exact GELU. */
import type { HfFormat, Parameter } from './architecture.ts'
import type { DecoderConfig } from './decoder-config.ts'
import { decoderHf } from './decoder-hf.ts'
import type { Description } from './description.ts'
import type { Fields } from './fields.ts'
import type { GptConfig } from './gpt.ts'
import { gpt2Hf } from './gpt2-hf.ts'

/** The names of the same layers in a decoder. */
const LAYERS: Readonly<Record<string, string>> = {
  attn_out: 'attn_output',
  mlp_norm: 'ffn_norm',
  mlp_up: 'ffn_up',
  mlp_down: 'ffn_down'
}

const renamed = (p: Parameter): Parameter => ({
  ...p,
  name: p.name.replace(/(?<=^blocks\.\d+\.)\w+/, layer => LAYERS[layer] ?? layer)
})

const description: Description = {
  kind: 'gpt',
  norm: 'layer',
  norms: 'before',
  positions: 'learned',
  fusedQkv: true,
  mlp: 'plain',
  activation: 'geluTanh'
}

/**
 * @param parse checks a configuration
 * @param parameters of a configuration
 */
export function gptHf(
  parse: (fields: Fields) => GptConfig,
  parameters: (config: GptConfig) => Parameter[]
): HfFormat<GptConfig> {
  const hf = decoderHf(gpt2Hf(['gelu']), description, fields => fields as unknown as DecoderConfig)
  const layouts: HfFormat<GptConfig>['layouts'] = p => hf.layouts(renamed(p))
  return {
    modelTypes: hf.modelTypes,
    claims: json => json['activation_function'] === 'gelu',
    read: (json, has) => {
      const { layers, hidden, heads, ffn, context, vocab, eps } = hf.read(json, has)
      return parse({ layers, hidden, heads, ffn, context, vocab, eps, bias: true, dropout: 0 })
    },
    write: ({ layers, hidden, heads, ffn, context, vocab, eps }) => ({
      ...hf.write({
        kind: 'gpt',
        layers,
        hidden,
        heads,
        ffn,
        context,
        vocab,
        eps,
        tied: true,
        kvHeads: heads,
        headDim: hidden / heads
      }),
      resid_pdrop: 0,
      embd_pdrop: 0,
      attn_pdrop: 0
    }),
    layouts,
    addend: () => 0,
    ...(hf.ignored === undefined ? {} : { ignored: hf.ignored }),
    zeros: config =>
      config.bias
        ? []
        : parameters({ ...config, bias: true })
            .filter(p => p.name.endsWith('.bias'))
            .map(p => layouts(p)[0]![0]!)
  }
}

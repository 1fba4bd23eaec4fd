/** `genai_config.json`: how ONNX Runtime GenAI runs a model. */
import { readdirSync } from 'node:fs'
import type { LayerCache } from '../arch/architecture.ts'
import { architecture } from '../arch/registry.ts'
import { invariant } from '../lib/errors.ts'
import type { ModelSource } from './model-source.ts'

export const GENAI_CONFIG = 'genai_config.json'

type Attention = Extract<LayerCache, { kind: 'attention' }>

/** @param model name of the file with the model */
export function genaiConfig({ config, conversation }: ModelSource, model: string): object {
  const [cache] = architecture(config)
    .caches(config)
    .filter((one): one is Attention => one.kind === 'attention')
  invariant(cache !== undefined, 'a model for ONNX has attention')
  const ends = conversation.ends.map(({ id }) => id)
  const past = 'past_key_values.%d'
  return {
    model: {
      type: 'llama',
      bos_token_id: conversation.begin?.id ?? ends[0] ?? 0,
      eos_token_id: ends.length === 1 ? ends[0] : ends,
      pad_token_id: ends[0] ?? 0,
      vocab_size: config.vocab,
      context_length: config.context,
      decoder: {
        session_options: { log_id: 'onnxruntime-genai', provider_options: [] },
        filename: model,
        head_size: cache.headDim,
        hidden_size: config.hidden,
        num_attention_heads: config.heads,
        num_hidden_layers: config.layers,
        num_key_value_heads: cache.kvHeads,
        inputs: {
          input_ids: 'input_ids',
          attention_mask: 'attention_mask',
          position_ids: 'position_ids',
          past_key_names: `${past}.key`,
          past_value_names: `${past}.value`
        },
        outputs: { logits: 'logits', present_key_names: 'present.%d.key', present_value_names: 'present.%d.value' }
      }
    },
    search: {
      do_sample: false,
      max_length: config.context,
      min_length: 0,
      num_beams: 1,
      past_present_share_buffer: false
    }
  }
}

/** Whether a folder holds a model in this form. */
export const isGenaiFolder = (folder: string): boolean => readdirSync(folder).includes(GENAI_CONFIG)

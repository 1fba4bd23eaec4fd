/**
 * Fields that Verit does not honour and that clients of OpenAI's API, llama.cpp's server, vLLM, Ollama and gateways
 * send with both kinds of completion: neutral ones with their accepted values, refused ones with a remedy.
 */
import { Type } from 'typebox'
import type { TProperties, TSchema } from 'typebox'
import type { Refusal } from './dialect.ts'

const described = <T extends TSchema>(schema: T, description: string): T => ({ ...schema, description })
export const flag = Type.Boolean({ description: 'true or false' })
export const shortText = Type.String({ maxLength: 512, description: 'a text of at most 512 characters' })
const number = Type.Number({ description: 'a number' })
const textOrNumber = described(Type.Union([shortText, number]), 'a number or a text of at most 512 characters')
/** As OpenAI has it. */
const metadata = Type.Unsafe({
  type: 'object',
  maxProperties: 16,
  propertyNames: { maxLength: 64 },
  additionalProperties: { type: 'string', maxLength: 512 },
  description: 'an object of at most 16 texts of at most 512 characters, with names of at most 64'
})
/** Settings of something that is not here: a few values, one level deep. */
export const fewSettings = Type.Unsafe({
  type: 'object',
  maxProperties: 16,
  propertyNames: { maxLength: 64 },
  additionalProperties: { anyOf: [{ type: ['boolean', 'number', 'null'] }, { type: 'string', maxLength: 512 }] },
  description: 'an object of at most 16 numbers, flags and texts of at most 512 characters'
})

const scalar = { anyOf: [{ type: ['boolean', 'number', 'null'] }, { type: 'string', maxLength: 4096 }] }
const nested = (levels: number): object => {
  if (levels === 0) return scalar
  const inside = nested(levels - 1)
  const list = { type: 'array', maxItems: 64, items: inside }
  const object = { type: 'object', maxProperties: 64, propertyNames: { maxLength: 64 }, additionalProperties: inside }
  return { anyOf: [...scalar.anyOf, list, object] }
}
/** Settings of a gateway or an interface in front: lists and objects in an object. */
const settings = Type.Unsafe({
  type: 'object',
  maxProperties: 64,
  propertyNames: { maxLength: 64 },
  additionalProperties: nested(4),
  description: 'an object of at most 64 values, 5 levels deep, with texts of at most 4,096 characters'
})

/** The values of a list, whatever their types. */
export const only = (...values: (string | number | boolean)[]): TSchema => Type.Union(values.map(v => Type.Literal(v)))
export const emptyList = Type.Array(Type.Never(), { maxItems: 0 })
const closed = (properties: TProperties): TSchema => Type.Object(properties, { additionalProperties: false })
const emptyObject = closed({})
const emptyText = Type.Literal('')
/** Switches of functions that are all off. */
const allOff = Type.Unsafe({
  type: 'object',
  maxProperties: 64,
  propertyNames: { maxLength: 64 },
  additionalProperties: { enum: [false, null] }
})
/** Ollama's options of the machine and of the context length: they decide no token of the answer. */
const machineOptions = Type.Unsafe({
  type: 'object',
  additionalProperties: false,
  properties: Object.fromEntries(
    ['num_ctx', 'num_batch', 'num_gpu', 'main_gpu', 'num_thread', 'low_vram', 'numa', 'use_mmap', 'use_mlock'].map(
      name => [name, { type: ['number', 'boolean', 'null'] }]
    )
  )
})

export const neutralFields: Readonly<Record<string, TSchema>> = {
  // OpenAI: end user, storage and billing of a request
  user: shortText,
  safety_identifier: shortText,
  metadata,
  store: flag,
  service_tier: shortText,
  parallel_tool_calls: flag,
  prompt_cache_key: shortText,
  prompt_cache_retention: shortText,
  prompt_cache_options: fewSettings,
  // llama.cpp, Ollama, vLLM, gateways: Verit's prefix cache and queue have no settings of a request
  cache_prompt: flag,
  cache_control: fewSettings,
  cache_salt: shortText,
  keep_alive: textOrNumber,
  priority: number,
  request_id: shortText,
  session_id: shortText,
  num_ctx: number,
  // routing and tracking by gateways (OpenRouter, LiteLLM)
  provider: settings,
  litellm_metadata: settings,
  litellm_session_id: shortText,
  litellm_trace_id: shortText,
  litellm_call_id: shortText,
  drop_params: flag,
  // Open WebUI: what its own interface and its own background tasks need
  chat_id: shortText,
  id: shortText,
  message_id: shortText,
  parent_id: shortText,
  variables: settings,
  model_item: settings,
  background_tasks: settings,
  // how reasoning is shown, by models that do not show any
  include_reasoning: flag,
  reasoning_format: shortText
}

const ONE_ANSWER = 'Send one request for each answer, each with its own seed'
const TEXT_ONLY = 'This server answers in text only; leave the field out'
const NO_TOOLS = 'This server offers no tools yet; send the request without them'
const NO_SCHEMA = 'This server does not constrain answers to a format yet; ask for the format in the prompt'
const NO_REASONING = 'The models here do not reason apart from their answer; leave the field out'
const NO_SAMPLER = 'This server does not have this sampler; leave the field out'
const PROMPT_AS_IT_IS = 'Put everything that the model is to read into the prompt'
const WHOLE_TEXT = 'This server chooses among all tokens, and answers with their text; leave the field out'

const refused = (instead: string, unless?: TSchema): Refusal =>
  unless === undefined ? { instead } : { instead, unless }

export const refusedFields: Readonly<Record<string, Refusal>> = {
  n: refused(ONE_ANSWER, only(1)),
  best_of: refused(ONE_ANSWER, only(1)),
  suffix: refused('Text is only continued, not filled in; leave the field out', emptyText),
  logit_bias: refused('This server does not weight single tokens yet; leave the field out', emptyObject),
  response_format: refused(NO_SCHEMA, closed({ type: Type.Literal('text') })),
  tools: { ...refused(NO_TOOLS, emptyList), unlessField: { name: 'tool_choice', is: 'none' } },
  tool_choice: refused(NO_TOOLS, only('none', 'auto')),
  functions: { ...refused(NO_TOOLS, emptyList), unlessField: { name: 'function_call', is: 'none' } },
  function_call: refused(NO_TOOLS, only('none', 'auto')),
  modalities: refused(TEXT_ONLY, Type.Tuple([Type.Literal('text')])),
  audio: refused(TEXT_ONLY),
  images: refused('The models here read text only; leave images out', emptyList),
  prediction: refused('Leave it out; the answer is the same without it'),
  reasoning_effort: refused(NO_REASONING, only('none', 'minimal', 'low')),
  verbosity: refused('Ask for a short or long answer in the prompt', only('low', 'medium')),
  web_search_options: refused('This server never reaches out to the network'),
  plugins: refused('This server never reaches out to the network', emptyList),
  features: refused('This server runs no tools and never reaches out to the network; switch them off', allOff),
  tool_ids: refused(NO_TOOLS, emptyList),
  tool_servers: refused(NO_TOOLS, emptyList),
  files: refused('This server reads no files; put their text into the prompt', emptyList),
  moderation: refused('This server judges no texts; leave the field out'),
  // reasoning, as others name it
  reasoning: refused(
    NO_REASONING,
    Type.Union([
      emptyObject,
      closed({ enabled: Type.Literal(false) }),
      closed({ effort: only('none', 'minimal', 'low') })
    ])
  ),
  thinking: refused(NO_REASONING, Type.Union([Type.Literal(false), closed({ type: Type.Literal('disabled') })])),
  think: refused(NO_REASONING, only(false)),
  enable_thinking: refused(NO_REASONING, only(false)),
  thinking_budget: refused(NO_REASONING, only(0)),
  chat_template_kwargs: refused(
    'The variables of the chat template cannot be set; leave the field out',
    closed({
      enable_thinking: Type.Optional(only(false)),
      thinking: Type.Optional(only(false)),
      add_generation_prompt: Type.Optional(only(true))
    })
  ),
  chat_template: refused('The chat template comes with the model; leave the field out', emptyText),
  add_generation_prompt: refused('An answer always begins a new turn; leave the field out', only(true)),
  continue_final_message: refused('An answer always begins a new turn; leave the field out', only(false)),
  documents: refused(PROMPT_AS_IT_IS, emptyList),
  // output formats, as others name them
  format: refused(NO_SCHEMA, emptyText),
  grammar: refused(NO_SCHEMA, emptyText),
  json_schema: refused(NO_SCHEMA, emptyObject),
  guided_json: refused(NO_SCHEMA),
  guided_regex: refused(NO_SCHEMA),
  guided_choice: refused(NO_SCHEMA),
  guided_grammar: refused(NO_SCHEMA),
  structured_outputs: refused(NO_SCHEMA),
  // parameters that have another name here
  n_predict: refused('Use max_tokens'),
  random_seed: refused('Use seed'),
  repeat_penalty: refused('Use repetition_penalty', only(1)),
  n_probs: refused('Use logprobs', only(0)),
  options: refused("Put the parameters at the top of the request, under their names in OpenAI's API", machineOptions),
  extra_body: refused('Put what it holds at the top of the request, as client libraries do', emptyObject),
  usage: refused('Use stream_options.include_usage', closed({ include: Type.Literal(false) })),
  // samplers that Verit does not have, unless they are off
  typical_p: refused(NO_SAMPLER, only(1)),
  tfs_z: refused(NO_SAMPLER, only(1)),
  top_a: refused(NO_SAMPLER, only(0)),
  mirostat: refused(NO_SAMPLER, only(0)),
  dynatemp_range: refused(NO_SAMPLER, only(0)),
  xtc_probability: refused(NO_SAMPLER, only(0)),
  dry_multiplier: refused(NO_SAMPLER, only(0)),
  repeat_last_n: refused('The repetition penalty looks at the last 64 tokens; leave the field out', only(64)),
  length_penalty: refused(NO_SAMPLER, only(1)),
  use_beam_search: refused(NO_SAMPLER, only(false)),
  min_tokens: refused('Use ignore_eos for answers that do not end by themselves', only(0)),
  min_keep: refused(NO_SAMPLER, only(0)),
  stop_token_ids: refused('Use stop, with the text of the tokens', emptyList),
  include_stop_str_in_output: refused('An answer ends before its stop string; leave the field out', only(false)),
  bad_words: refused(WHOLE_TEXT, emptyList),
  allowed_token_ids: refused(WHOLE_TEXT),
  skip_special_tokens: refused(WHOLE_TEXT, only(true)),
  spaces_between_special_tokens: refused(WHOLE_TEXT, only(true)),
  truncate_prompt_tokens: refused('Verit cuts no prompt; shorten it before you send it'),
  n_keep: refused('Verit cuts no prompt; leave the field out', only(0, -1)),
  prompt_logprobs: refused('Prompts are not scored yet; leave the field out'),
  return_tokens_as_token_ids: refused(WHOLE_TEXT, only(false)),
  return_token_ids: refused(WHOLE_TEXT, only(false)),
  return_tokens: refused(WHOLE_TEXT, only(false)),
  timings_per_token: refused('The times of the whole answer are in its field verit; leave the field out', only(false)),
  return_progress: refused('There are no events for the prompt; leave the field out', only(false)),
  post_sampling_probs: refused('Log probabilities are those of the model; leave the field out', only(false)),
  id_slot: refused('The server chooses the slot; leave the field out', only(-1)),
  lora: refused('This server loads no adapters; leave the field out', emptyList),
  safe_prompt: refused(PROMPT_AS_IT_IS, only(false)),
  transforms: refused('Verit cuts no prompt; leave the field out', emptyList)
}

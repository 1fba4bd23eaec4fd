/** The hyperparameters of a decoder as Hugging Face's transformers describes them in `config.json`, both ways. */
import { VeritError } from '../lib/errors.ts'
import { hfFloat } from './hf-float.ts'
import type { HfFormat } from './architecture.ts'
import { fieldRules, fieldsOf, parseDecoder } from './decoder-config.ts'
import type { DecoderConfig, Field } from './decoder-config.ts'
import { hfLayouts, hfNames } from './decoder-hf-names.ts'
import { readHfRope, writeHfRope } from './decoder-hf-rope.ts'
import type { Description, HfDescription } from './description.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'

/** Names of the common fields. */
const USUAL: Readonly<Partial<Record<Field, string>>> = {
  layers: 'num_hidden_layers',
  hidden: 'hidden_size',
  heads: 'num_attention_heads',
  kvHeads: 'num_key_value_heads',
  headDim: 'head_dim',
  ffn: 'intermediate_size',
  context: 'max_position_embeddings',
  vocab: 'vocab_size',
  eps: 'rms_norm_eps'
}

const namesOf = (hf: HfDescription): ReadonlyMap<string, string> =>
  new Map(
    Object.entries({ ...USUAL, ...hf.fields }).flatMap(([field, name]): [string, string][] =>
      name === null ? [] : [[field, name]]
    )
  )

/** @param parse checks a configuration and fills in defaults */
export function decoderHf(
  hf: HfDescription,
  d: Description,
  parse: (fields: Fields) => DecoderConfig
): HfFormat<DecoderConfig> {
  return {
    modelTypes: hf.modelTypes,
    read: (json, has) => parse({ ...readHfDecoder(json, has, d, hf) }),
    write: config => writeHfDecoder(config, d, hf),
    layouts: p => hfLayouts(p, hf),
    addend: parameter => (hf.gainsLackOne === true && parameter.endsWith('norm.weight') ? 1 : 0),
    ...(hf.ignored === undefined ? {} : { ignored: hf.ignored })
  }
}

function readHfDecoder(
  json: Fields,
  has: (tensor: string) => boolean,
  d: Description,
  hf: HfDescription
): DecoderConfig {
  const names = namesOf(hf)
  const fields: Record<string, unknown> = {}
  for (const [field, name] of names) fields[field] = json[name] ?? undefined
  const hasParameter = (name: string): boolean => hfNames(name, hf).some(has)
  try {
    checkOptions(json, hf)
    const tied = json['tie_word_embeddings'] ?? !hasParameter('head.weight')
    if (tied === hasParameter('head.weight'))
      fail('tie_word_embeddings', `is ${String(tied)}, which is not what the tensors show`)
    const biases = (d.optionalBiases ?? []).filter(name => hasParameter(`blocks.0.${name}.bias`))
    const derived = hf.derive?.(json) ?? {}
    const plain = parseDecoder({ ...fields, tied, biases, ...derived }, d)
    if (d.positions === 'learned') return plain
    return parseDecoder({ ...plain, kind: undefined, ...readHfRope(json, plain, hf), ...derived }, d)
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG')) throw e
    const { field, problem } = e.fields
    throw new VeritError('VERIT_MODEL_CONFIG', { field: names.get(field) ?? field, problem }, e)
  }
}

/** Options that would make another model of the same tensors. */
function checkOptions(json: Fields, { activation, activationKey = 'hidden_act', only = {} }: HfDescription): void {
  if (json['quantization_config'] !== undefined)
    fail('quantization_config', 'is given, and quantised weights are not supported here')
  const act = json[activationKey] ?? json['hidden_act'] ?? activation[0]
  if (!activation.includes(String(act)))
    fail(activationKey, `is ${JSON.stringify(act)}, where ${activation.join(', ')} is supported`)
  for (const [name, allowed] of Object.entries(only)) {
    const value = json[name] ?? null
    if (!allowed.includes(value)) fail(name, `is ${JSON.stringify(value)}, which is not supported`)
  }
}

/** Fields that the rotary options express, or that follow from the tensors. */
const ELSEWHERE: readonly Field[] = [
  'tied',
  'biases',
  'ropeDim',
  'ropeTheta',
  'ropeScaling',
  'ropeFactor',
  'ropeAttentionFactor',
  'ropeOriginalContext',
  'yarnBetaFast',
  'yarnBetaSlow',
  'yarnExtFactor',
  'yarnLogMultiplier',
  'ropeDivisors',
  'ropeDivisorsLong',
  'ropeDivisorsShort'
]

function writeHfDecoder(c: DecoderConfig, d: Description, hf: HfDescription): Fields {
  const names = namesOf(hf)
  checkExpressible(c, d, hf)
  const fields: Record<string, unknown> = {}
  for (const [field, name] of names) {
    const value = c[field as Field]
    if (value === undefined) continue
    fields[name] = fieldRules[field as Field].type === 'real' ? hfFloat(value as number) : value
  }
  const { className, modelType } = hf.writtenType?.(c) ?? { className: hf.className, modelType: hf.modelTypes[0]! }
  return {
    architectures: [className],
    model_type: modelType,
    ...fields,
    [hf.activationKey ?? 'hidden_act']: hf.activation[0],
    tie_word_embeddings: c.tied,
    ...(d.positions === 'learned' ? {} : writeHfRope(c)),
    ...hf.write?.(c)
  }
}

/** Refuses fields that change the model and that transformers has no option for. */
function checkExpressible(c: DecoderConfig, d: Description, hf: HfDescription): void {
  const known: readonly string[] = [...namesOf(hf).keys(), ...ELSEWHERE, ...(hf.written ?? [])]
  for (const field of fieldsOf(d)) {
    const value = c[field]
    const plain =
      value === undefined ||
      (field === 'attentionScale' && Math.abs((value as number) * Math.sqrt(c.headDim) - 1) < 1e-6) ||
      (field === 'kvHeads' && value === c.heads) ||
      (field === 'headDim' && value === c.hidden / c.heads) ||
      (field === 'window' && (value === 0 || (value as number) >= c.context)) ||
      (['embeddingScale', 'residualScale', 'logitScale'].includes(field) && value === 1)
    if (!plain && !known.includes(field)) fail(field, 'is given, which transformers has no option for')
  }
}

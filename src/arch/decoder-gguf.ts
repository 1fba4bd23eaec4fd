/** Hyperparameters of a decoder in a GGUF file, and back. */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'
import type { FixedTensor } from './architecture.ts'
import { refuseOthers } from './check-plain.ts'
import { fieldRules, fieldsOf, parseDecoder } from './decoder-config.ts'
import type { DecoderConfig, Field, FieldRule } from './decoder-config.ts'
import type { Description } from './description.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'
import { fieldRule, keyOf, namingKeys } from './gguf-keys.ts'

/** Tensors that hold divisors of rotary frequencies. */
const DIVISORS = {
  ropeDivisors: 'rope_freqs.weight',
  ropeDivisorsLong: 'rope_factors_long.weight',
  ropeDivisorsShort: 'rope_factors_short.weight'
} as const satisfies Partial<Record<Field, string>>

/**
 * The checked fields of a file.
 * @throws VeritError VERIT_GGUF naming the missing or invalid key, VERIT_MODEL_FILE naming a tensor
 */
export function readDecoder(file: GgufFile, vocab: number, d: Description): Fields {
  const m = file.metadata
  const fields: Record<string, unknown> = { vocab, tied: !file.has('output.weight') }
  for (const field of fieldsOf(d)) {
    const key = keyOf(field, d.norm)
    if (key === undefined || field === 'vocab') continue
    fields[field] = readField(m, `${d.kind}.${key}`, fieldRule(field))
  }
  fields['biases'] = (d.optionalBiases ?? []).filter(name => file.has(`blk.0.${name}.bias`))
  namingKeys(m, d.kind, d.norm, () => {
    Object.assign(fields, readScaling(m, fields, d), readDivisors(file, d), readLayers(fields, d))
    const config = namingTensors(() => parseDecoder(dropNeutral(fields), d))
    refuseNeutral(m, config, d)
    refuseOthers(m, name => `${d.kind}.${name}`, new Set(fieldsOf(d).map(field => keyOf(field, d.norm) ?? '')), config)
  })
  return fields
}

/** Drops values that mean "none". */
function dropNeutral(fields: Record<string, unknown>): Fields {
  for (const [field, value] of Object.entries(fields))
    if (value === undefined || NEUTRAL[field]?.(value) === true) delete fields[field]
  return fields
}

/** A value that means "none" for a field that this architecture always has. */
function refuseNeutral(m: GgufMetadata, config: DecoderConfig, d: Description): void {
  for (const [field, usual] of Object.entries(d.defaults?.(config) ?? {})) {
    const key = keyOf(field as Field, d.norm)
    if (config[field as Field] !== undefined || key === undefined || !m.has(`${d.kind}.${key}`)) continue
    fail(field, `is switched off, but models of the architecture ${d.kind} have one (usually ${String(usual)})`)
  }
}

/** Values that mean "none". */
const isZero = (value: unknown): boolean => value === 0
const isOne = (value: unknown): boolean => value === 1
const NEUTRAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  attentionScale: isZero,
  attentionSoftcap: isZero,
  finalSoftcap: isZero,
  embeddingScale: isZero,
  residualScale: isZero,
  logitScale: isZero,
  temperatureScale: isZero,
  window: isZero,
  experts: isZero,
  expertsUsed: isZero,
  ropeAttentionFactor: isOne
}

function readField(m: GgufMetadata, key: string, { type }: FieldRule): unknown {
  if (!m.has(key)) return undefined
  if (type === 'text') return m.string(key)
  if (type === 'real') return m.float(key)
  return m.entries.get(key)?.type === 'array' ? m.ints(key) : m.uint(key)
}

/** Turns an error of a field that is stored as a tensor into one of that tensor. */
function namingTensors<T>(read: () => T): T {
  try {
    return read()
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG') || !Object.hasOwn(DIVISORS, e.fields.field)) throw e
    const tensor = DIVISORS[e.fields.field as keyof typeof DIVISORS]
    throw new VeritError('VERIT_TENSOR', { tensor, problem: e.fields.problem }, e)
  }
}

/** How rotary frequencies are scaled: none, linear (which a factor alone means), or YaRN. */
function readScaling(m: GgufMetadata, fields: Fields, d: Description): Fields {
  if (d.positions === 'learned') return {}
  const key = (name: string): string => `${d.kind}.${name}`
  const scaling = fields['ropeScaling'] ?? 'linear'
  const factor = fields['ropeFactor'] ?? m.float(key('rope.scale_linear'), 1)
  if (scaling === 'none') return { ropeScaling: undefined, ropeFactor: undefined }
  if (scaling === 'longrope' && d.uses?.includes('ropeDivisorsLong') === true) {
    if (factor !== 1)
      m.refuse(key('rope.scaling.factor'), `is ${String(factor)}, where longrope has divisors of its own`)
    return { ropeScaling: undefined, ropeFactor: undefined }
  }
  if (scaling !== 'linear' && scaling !== 'yarn')
    m.refuse(key('rope.scaling.type'), `is ${JSON.stringify(scaling)}, which is not supported`)
  // A factor of 0 means no scaling.
  return factor === 1 || factor === 0
    ? { ropeScaling: undefined, ropeFactor: undefined }
    : { ropeScaling: scaling, ropeFactor: factor }
}

function readDivisors(file: GgufFile, d: Description): Fields {
  const wanted = (Object.keys(DIVISORS) as (keyof typeof DIVISORS)[]).filter(field => d.uses?.includes(field) === true)
  return Object.fromEntries(
    wanted.filter(field => file.has(DIVISORS[field])).map(field => [field, readVector(file, DIVISORS[field])])
  )
}

/** Most pairs of a head; more are refused before they are read. */
const MOST_PAIRS = 2048

function readVector(file: GgufFile, name: string): number[] {
  const { type, elements } = file.tensor(name)
  if (type !== 'F32' || elements > MOST_PAIRS)
    throw new VeritError('VERIT_TENSOR', {
      tensor: name,
      problem: `it is ${type} with ${elements} elements, where F32 with one for each rotated pair is expected`
    })
  return [...new Float32Array(file.readTensor(name).buffer)]
}

/** kvHeads per layer; 0 marks a short convolution. Any other array must repeat one value. */
function readLayers(fields: Fields, d: Description): Fields {
  const read: Record<string, unknown> = {}
  const { layers } = fields
  // An invalid number of layers is reported later.
  if (typeof layers !== 'number' || layers < 1 || layers > fieldRules.layers.high) return read
  for (const [field, value] of Object.entries(fields)) {
    if (!Array.isArray(value) || !Object.hasOwn(fieldRules, field) || fieldRule(field as Field).type !== 'whole')
      continue
    if (value.length !== layers) fail(field, `has ${value.length} elements, where there are ${String(layers)} layers`)
    const used =
      field === 'kvHeads' && d.uses?.includes('attentionLayers') === true ? value.filter(n => n !== 0) : value
    if (used.length === 0 || used.some(n => n !== used[0]))
      fail(field, 'is not the same for every layer, which is not supported')
    read[field] = used[0]
    if (used !== value) read['attentionLayers'] = value.flatMap((n, l) => (n === 0 ? [] : [l]))
  }
  return read
}

/** Metadata of a configuration. */
export function decoderEntries(config: DecoderConfig, d: Description): [string, GgufValue][] {
  const entries: [string, GgufValue][] = []
  for (const field of fieldsOf(d)) {
    const key = keyOf(field, d.norm)
    const value = config[field]
    if (key === undefined || value === undefined) continue
    entries.push([`${d.kind}.${key}`, entryValue(value as number | string, fieldRule(field))])
  }
  entries.push([`${d.kind}.attention.value_length`, gguf.u32(config.headDim)])
  const { attentionLayers, layers, kvHeads } = config
  if (attentionLayers === undefined) return entries
  const byLayer = Array.from({ length: layers }, (_, l) => (attentionLayers.includes(l) ? kvHeads : 0))
  const headCount = `${d.kind}.${fieldRules.kvHeads.key}`
  return [...entries.filter(([key]) => key !== headCount), [headCount, gguf.i32s(byLayer)]]
}

function entryValue(value: number | string, { type }: FieldRule): GgufValue {
  if (typeof value === 'string') return gguf.string(value)
  return type === 'real' ? gguf.f32(value) : gguf.u32(value)
}

/** The divisors of rotary frequencies. */
export function decoderFixedTensors(config: DecoderConfig): FixedTensor[] {
  return (Object.keys(DIVISORS) as (keyof typeof DIVISORS)[]).flatMap(field => {
    const values = config[field]
    return values === undefined ? [] : [{ name: DIVISORS[field], values: Float32Array.from(values) }]
  })
}

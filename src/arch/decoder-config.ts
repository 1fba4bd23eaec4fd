/**
 * The hyperparameters of decoders: one table with the GGUF key and the range of each. Every value comes from an
 * untrusted file and is checked before use.
 */
import { logCore } from '../lib/functions.ts'
import type { ModelConfig } from './architecture.ts'
import type { Description } from './description.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'
import { frequencies, LARGEST_ANGLE } from './rotary.ts'
import type { Rotary } from './rotary.ts'

export interface DecoderConfig extends ModelConfig {
  /** Heads of keys and values; divides `heads`. */
  readonly kvHeads: number
  /** Width of one head of queries, keys and values. */
  readonly headDim: number
  readonly tied: boolean
  /** Additional linear layers of a block with biases. */
  readonly biases?: readonly string[]
  /** Factor of the attention scores. Default 1/sqrt(headDim). */
  readonly attentionScale?: number
  /** Window of windowed layers in positions, the current one included. Absent or 0: no window. */
  readonly window?: number
  readonly windowPeriod?: number
  /** c of c · tanh(score/c). */
  readonly attentionSoftcap?: number
  /** c of c · tanh(logit/c). */
  readonly finalSoftcap?: number
  readonly embeddingScale?: number
  /** Factor on the output of each branch before it is added to the residual stream. */
  readonly residualScale?: number
  /** Divides the logits. */
  readonly logitScale?: number
  /** Elements of a head that rotary positions turn, even. */
  readonly ropeDim?: number
  readonly ropeTheta?: number
  /** Base of the windowed layers. */
  readonly ropeThetaLocal?: number
  readonly ropeScaling?: 'linear' | 'yarn'
  readonly ropeFactor?: number
  /** Multiplies cosines and sines. */
  readonly ropeAttentionFactor?: number
  readonly ropeOriginalContext?: number
  readonly yarnBetaFast?: number
  readonly yarnBetaSlow?: number
  readonly yarnExtFactor?: number
  readonly yarnLogMultiplier?: number
  /** s of the factor 1 + s · ln(1 + ⌊position / original context⌋) of queries. */
  readonly temperatureScale?: number
  /** Divisors of the frequencies [ropeDim/2]: always, beyond the original context, within it. */
  readonly ropeDivisors?: readonly number[]
  readonly ropeDivisorsLong?: readonly number[]
  readonly ropeDivisorsShort?: readonly number[]
  readonly experts?: number
  /** Width of an expert's feed-forward layer. */
  readonly expertFfn?: number
  /** Columns that a short convolution sees, its own included. */
  readonly convWidth?: number
  /** Layers that have attention, where others have short convolutions. */
  readonly attentionLayers?: readonly number[]
}

/** Range of a field. `whole`: integers up to and including `high`; `real`: numbers below `high`. */
export interface FieldRule {
  /** Under the architecture's prefix; absent if the value comes from tensors or several keys. */
  readonly key?: string
  readonly type: 'whole' | 'real' | 'text' | 'flag' | 'list'
  readonly low?: number
  readonly high?: number
}

const whole = (key: string, low: number, high: number) => ({ key, type: 'whole', low, high }) as const
const real = (key: string, low: number, high: number): FieldRule => ({ key, type: 'real', low, high })

/** Beyond any model that there is; sizes of tensors are checked on their own. */
const MOST = 1 << 20
const TINY = 1e-9
const HUGE = 1e9

/** By field. Fields with a range are numbers. */
export const fieldRules = {
  layers: whole('block_count', 1, 1024),
  hidden: whole('embedding_length', 1, 65536),
  heads: whole('attention.head_count', 1, 1024),
  kvHeads: whole('attention.head_count_kv', 1, 1024),
  headDim: whole('attention.key_length', 1, 4096),
  ffn: whole('feed_forward_length', 1, MOST),
  context: whole('context_length', 1, MOST),
  vocab: whole('vocab_size', 2, 1 << 21),
  eps: real('attention.layer_norm_rms_epsilon', 1e-12, 1),
  attentionScale: real('attention.scale', TINY, HUGE),
  window: whole('attention.sliding_window', 0, 2 ** 31 - 1),
  windowPeriod: whole('attention.sliding_window_pattern', 1, 1024),
  attentionSoftcap: real('attn_logit_softcapping', TINY, HUGE),
  finalSoftcap: real('final_logit_softcapping', TINY, HUGE),
  embeddingScale: real('embedding_scale', TINY, HUGE),
  residualScale: real('residual_scale', TINY, HUGE),
  logitScale: real('logit_scale', TINY, HUGE),
  ropeDim: whole('rope.dimension_count', 2, 4096),
  ropeTheta: real('rope.freq_base', 1, 1e12),
  ropeThetaLocal: real('rope.freq_base_swa', 1, 1e12),
  ropeScaling: { key: 'rope.scaling.type', type: 'text' },
  ropeFactor: real('rope.scaling.factor', 1e-3, 1e6),
  ropeAttentionFactor: real('rope.scaling.attn_factor', 1e-3, 1e3),
  ropeOriginalContext: whole('rope.scaling.original_context_length', 1, MOST),
  yarnBetaFast: real('rope.scaling.yarn_beta_fast', 1e-3, 1e6),
  yarnBetaSlow: real('rope.scaling.yarn_beta_slow', 1e-3, 1e6),
  yarnExtFactor: real('rope.scaling.yarn_ext_factor', 0, 1.0001),
  yarnLogMultiplier: real('rope.scaling.yarn_log_multiplier', 0, 1e3),
  temperatureScale: real('attention.temperature_scale', TINY, 1e3),
  ropeDivisors: { type: 'list' },
  ropeDivisorsLong: { type: 'list' },
  ropeDivisorsShort: { type: 'list' },
  experts: whole('expert_count', 1, 1024),
  expertsUsed: whole('expert_used_count', 1, 1024),
  expertFfn: whole('expert_feed_forward_length', 1, MOST),
  convWidth: whole('shortconv.l_cache', 1, 64),
  tied: { type: 'flag' },
  biases: { type: 'list' },
  attentionLayers: { type: 'list' }
} as const satisfies Partial<Record<keyof DecoderConfig, FieldRule>>

export type Field = keyof typeof fieldRules

const COMMON: readonly Field[] = [
  'layers',
  'hidden',
  'heads',
  'kvHeads',
  'headDim',
  'ffn',
  'context',
  'vocab',
  'eps',
  'tied',
  'biases'
]
const ROTARY: readonly Field[] = [
  'ropeDim',
  'ropeTheta',
  'ropeScaling',
  'ropeFactor',
  'ropeAttentionFactor',
  'ropeOriginalContext',
  'yarnBetaFast',
  'yarnBetaSlow',
  'yarnExtFactor'
]

/** The fields that a model of an architecture may have. */
export const fieldsOf = (d: Description): readonly Field[] => [
  ...COMMON,
  ...(d.positions === 'learned' ? [] : ROTARY),
  ...(d.uses ?? [])
]

/** Checks every field against its range; refuses unknown fields. */
function checkFields(fields: Fields, d: Description): void {
  const known = fieldsOf(d)
  for (const [field, value] of Object.entries(fields)) {
    if (field === 'kind' || value === undefined) continue
    if (!known.includes(field as Field)) fail(field, `is not a field of a ${d.kind} model`)
    checkField(field, value, fieldRules[field as Field])
  }
}

function checkField(field: string, value: unknown, { type, low = 0, high = 0 }: FieldRule): void {
  if (type === 'whole' && !(Number.isInteger(value) && (value as number) >= low && (value as number) <= high)) {
    fail(field, `must be a whole number from ${low} to ${high.toLocaleString('en-US')}`)
  }
  if (type === 'real' && !(typeof value === 'number' && value >= low && value < high))
    fail(field, `must be a number from ${low} to below ${high}`)
  if (type === 'flag' && typeof value !== 'boolean') fail(field, 'must be true or false')
  if (type === 'text' && value !== 'linear' && value !== 'yarn') fail(field, "must be 'linear' or 'yarn'")
  if (type === 'list' && !Array.isArray(value)) fail(field, 'must be a list')
}

/**
 * Checks an untrusted configuration of a decoder and fills in defaults.
 * @throws VeritError VERIT_MODEL_CONFIG naming the field
 */
export function parseDecoder(fields: Fields, d: Description): DecoderConfig {
  checkFields(fields, d)
  const given = Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined)
  ) as Partial<DecoderConfig>
  for (const field of ['layers', 'hidden', 'heads', 'context', 'vocab', 'eps'] as const)
    if (given[field] === undefined) fail(field, 'is missing')
  const { layers, hidden, heads, context } = given as DecoderConfig
  const { kvHeads = heads, expertFfn, tied = true, biases = [] } = given
  if (heads % kvHeads !== 0) fail('kvHeads', `is ${kvHeads}, which does not divide the ${heads} heads`)
  if (given.headDim === undefined && hidden % heads !== 0)
    fail('hidden', `is ${hidden}, which is no multiple of the ${heads} heads`)
  const headDim = given.headDim ?? hidden / heads
  if (heads * headDim > MOST) fail('headDim', `is ${headDim}, too much for ${heads} heads`)
  const ffn = given.ffn ?? expertFfn ?? fail('ffn', 'is missing')
  const allowed = d.optionalBiases ?? []
  if (!biases.every(b => allowed.includes(b))) fail('biases', `must be among ${allowed.join(', ')}`)
  checkExperts(given, d)
  checkLayers(given, layers)
  const rope = d.positions === 'learned' ? {} : ropeFields(given, d, headDim, context)
  const conv =
    d.uses?.includes('convWidth') === true && given.convWidth === undefined ? fail('convWidth', 'is missing') : {}
  const config = { ...given, ...conv, ...rope, kind: d.kind, kvHeads, headDim, ffn, tied, biases } as DecoderConfig
  if (d.positions !== 'learned') checkAngles(config)
  return config
}

/** Refuses divisors and factors with which an angle leaves the domain of sine and cosine. */
function checkAngles(c: DecoderConfig): void {
  const { context, ropeOriginalContext: original = context } = c
  for (const positions of new Set([context, Math.min(context, original)])) {
    const rotary = rotaryOf(c, positions)
    const place = frequencies(rotary).findIndex(f => !((positions - 1) * f <= LARGEST_ANGLE))
    if (place < 0) continue
    const list = (['ropeDivisors', 'ropeDivisorsLong', 'ropeDivisorsShort'] as const).find(
      field => c[field] !== undefined && c[field] === rotary.divisors
    )
    const value = list === undefined ? rotary.factor : rotary.divisors![place]
    fail(
      list ?? 'ropeFactor',
      `${list === undefined ? 'is' : 'holds'} ${value}, with which ${positions} positions turn by more than ` +
        `${LARGEST_ANGLE.toLocaleString('en-US')} radians`
    )
  }
}

function checkExperts({ experts, expertsUsed, expertFfn }: Partial<DecoderConfig>, d: Description): void {
  if (d.mlp !== 'experts' && experts === undefined) {
    if (expertsUsed !== undefined) fail('expertsUsed', 'is given, and there are no experts')
    return
  }
  if (experts === undefined) return fail('experts', 'is missing')
  if (expertsUsed === undefined) return fail('expertsUsed', 'is missing')
  if (expertsUsed > experts) fail('expertsUsed', `is ${expertsUsed}, where there are ${experts} experts`)
  if (d.mlp === 'experts' && expertFfn === undefined) fail('expertFfn', 'is missing')
}

function checkLayers({ attentionLayers = [] }: Partial<DecoderConfig>, layers: number): void {
  const sound = attentionLayers.every(
    (l, i) => Number.isInteger(l) && l >= 0 && l < layers && (i === 0 || l > attentionLayers[i - 1]!)
  )
  if (!sound) fail('attentionLayers', `must be numbers from 0 to ${layers - 1} in ascending order`)
}

function ropeFields(
  given: Partial<DecoderConfig>,
  d: Description,
  headDim: number,
  context: number
): Partial<DecoderConfig> {
  const { ropeDim = headDim, ropeTheta = 10_000, ropeScaling, ropeFactor = 1 } = given
  if (ropeDim % 2 !== 0)
    fail(given.ropeDim === undefined ? 'headDim' : 'ropeDim', `is ${ropeDim}, where pairs of elements are rotated`)
  if (ropeDim > headDim) fail('ropeDim', `is ${ropeDim}, where each head is ${headDim} wide`)
  if (ropeDim !== headDim && d.partialRotary !== true)
    fail('ropeDim', `is ${ropeDim}, where each head is ${headDim} wide and is rotated as a whole`)
  for (const field of ['ropeDivisors', 'ropeDivisorsLong', 'ropeDivisorsShort'] as const) {
    const list = given[field]
    if (list === undefined) continue
    if (list.length !== ropeDim / 2) fail(field, `has ${list.length} elements, where ${ropeDim / 2} are expected`)
    if (!list.every(v => typeof v === 'number' && v > 0 && v < Infinity))
      fail(field, 'holds a value that is not a positive finite number')
  }
  if ((given.ropeDivisorsLong === undefined) !== (given.ropeDivisorsShort === undefined))
    fail('ropeDivisorsLong', 'must be given with ropeDivisorsShort')
  if (ropeScaling === 'yarn' && Math.fround(ropeTheta) === 1)
    fail('ropeTheta', 'is 1, where YaRN divides by its logarithm')
  const factor = ropeFactor === 1 ? {} : { ropeScaling: ropeScaling ?? 'linear', ropeFactor }
  const needed = ropeScaling === 'yarn' || given.ropeDivisorsLong !== undefined || given.temperatureScale !== undefined
  const original = needed ? { ropeOriginalContext: given.ropeOriginalContext ?? context } : {}
  return { ropeDim, ropeTheta, ...factor, ...original }
}

/**
 * The rotary positions of a configuration.
 * @param context positions of the run: beyond the original context, the long divisors count
 */
export function rotaryOf(c: DecoderConfig, context: number): Rotary {
  const {
    ropeDim: dim = c.headDim,
    ropeTheta: theta = 10_000,
    ropeScaling,
    ropeFactor = 1,
    ropeOriginalContext = c.context
  } = c
  const divisors = c.ropeDivisors ?? (context > ropeOriginalContext ? c.ropeDivisorsLong : c.ropeDivisorsShort)
  const own = c.ropeAttentionFactor ?? 1
  if (ropeScaling !== 'yarn') return { theta, dim, divisors, factor: ropeFactor, magnitude: own }
  const {
    yarnBetaFast: betaFast = 32,
    yarnBetaSlow: betaSlow = 1,
    yarnExtFactor: extFactor = 1,
    yarnLogMultiplier = 0
  } = c
  const scale = (multiplier: number): number => 1 + 0.1 * multiplier * logCore(Math.max(1, ropeFactor))
  const magnitude = (own * scale(1)) / scale(yarnLogMultiplier)
  return {
    theta,
    dim,
    divisors,
    factor: ropeFactor,
    magnitude,
    yarn: { originalContext: ropeOriginalContext, betaFast, betaSlow, extFactor }
  }
}

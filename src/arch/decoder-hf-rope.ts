/** The rotary positions of a decoder in `config.json`, both ways. */
import { logCore } from '../lib/functions.ts'
import { shortestFloat } from '../lib/float.ts'
import { hfFloat } from './hf-float.ts'
import { fieldRules, rotaryOf } from './decoder-config.ts'
import type { DecoderConfig } from './decoder-config.ts'
import type { HfDescription } from './description.ts'
import { fail } from './fields.ts'
import type { Fields } from './fields.ts'
import { frequencies } from './rotary.ts'

const object = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})

/** The fields of rotary positions. @param config checked without them */
export function readHfRope(json: Fields, config: DecoderConfig, hf: HfDescription): Fields {
  const given = { ...object(json['rope_scaling']), ...object(json['rope_parameters']) }
  const rope: Fields = { ...given, ...object(given[hf.rope ?? '']) }
  const number = (name: string): number => {
    const value = rope[name]
    return typeof value === 'number' && value > 0 && value < Infinity
      ? value
      : fail(`rope_scaling.${name}`, 'must be a positive number')
  }
  const ropeTheta = rope['rope_theta'] ?? json['rope_theta'] ?? undefined
  const part = rope['partial_rotary_factor'] ?? json['partial_rotary_factor'] ?? 1
  const ropeDim =
    typeof part === 'number' ? Math.floor(config.headDim * part) : fail('partial_rotary_factor', 'must be a number')
  const type = rope['rope_type'] ?? rope['type'] ?? 'default'
  const base = { ropeTheta, ropeDim }
  if (type === 'default') return base
  if (type === 'longrope') return { ...base, ...longRope(json, rope, config) }
  const ropeFactor = number('factor')
  if (type === 'linear') return { ...base, ropeScaling: 'linear', ropeFactor }
  if (type === 'llama3') {
    const theta =
      typeof ropeTheta === 'number' && ropeTheta >= 1 && ropeTheta < fieldRules.ropeTheta.high! ? ropeTheta : 10_000
    const [low, high] = [number('low_freq_factor'), number('high_freq_factor')]
    const original = number('original_max_position_embeddings')
    const plain = frequencies({ theta, dim: ropeDim })
    return { ...base, ropeDivisors: llama3Divisors(plain, { factor: ropeFactor, low, high, original }) }
  }
  if (type !== 'yarn') return fail('rope_scaling.rope_type', `is ${JSON.stringify(type)}, which is not supported`)
  for (const name of ['mscale', 'mscale_all_dim'])
    if (rope[name] !== undefined) fail(`rope_scaling.${name}`, 'is not supported')
  if ((rope['truncate'] ?? true) !== true) fail('rope_scaling.truncate', 'is not supported')
  const ropeOriginalContext = rope['original_max_position_embeddings'] ?? config.context
  const yarn = { yarnBetaFast: rope['beta_fast'] ?? undefined, yarnBetaSlow: rope['beta_slow'] ?? undefined }
  // The usual factor of cosines and sines is part of YaRN here.
  const own =
    (rope['attention_factor'] ?? undefined) === undefined
      ? {}
      : { ropeAttentionFactor: Math.fround(number('attention_factor') / yarnFactor(ropeFactor)) }
  return { ...base, ropeScaling: 'yarn', ropeFactor, ropeOriginalContext, ...yarn, ...own }
}

/** The factor of cosines and sines that YaRN has unless another one is given. */
const yarnFactor = (factor: number): number => 1 + 0.1 * logCore(Math.max(1, factor))

/** Two lists of divisors, for contexts within and beyond the original one (LongRoPE). */
function longRope(json: Fields, rope: Fields, config: DecoderConfig): Fields {
  const list = (name: string): number[] => {
    const value = rope[name]
    const sound = Array.isArray(value) && value.every(v => typeof v === 'number' && v > 0 && v < Infinity)
    return sound
      ? (value as number[]).map(Math.fround)
      : fail(`rope_scaling.${name}`, 'must be a list of positive numbers')
  }
  const original = json['original_max_position_embeddings'] ?? rope['original_max_position_embeddings']
  if (typeof original !== 'number' || !(original > 1))
    return fail('original_max_position_embeddings', 'must be a whole number above 1')
  const [short, long] = [list('short_factor'), list('long_factor')]
  const given = rope['attention_factor'] ?? undefined
  const factor = typeof given === 'number' ? given : longRopeFactor(config.context, original)
  if (short.join() === long.join())
    return { ropeDivisors: short, ropeAttentionFactor: factor === 1 ? undefined : Math.fround(factor) }
  return {
    ropeDivisorsShort: short,
    ropeDivisorsLong: long,
    ropeOriginalContext: original,
    ropeAttentionFactor: factor === 1 ? undefined : Math.fround(factor)
  }
}

/** The factor of cosines and sines that LongRoPE has unless another one is given. */
const longRopeFactor = (context: number, original: number): number =>
  context <= original ? 1 : Math.sqrt(1 + logCore(context / original) / logCore(original))

interface Llama3 {
  readonly factor: number
  readonly low: number
  readonly high: number
  readonly original: number
}

const TAU = 6.283185307179586

/**
 * Frequency divisors of Llama 3.1: 1 for short wavelengths, the factor for long ones, interpolated between. f32, as in
 * files.
 */
function llama3Divisors(plain: Float64Array, { factor, low, high, original }: Llama3): number[] {
  return [...plain].map(frequency => {
    const wave = TAU / frequency
    if (wave < original / high) return 1
    if (wave > original / low) return Math.fround(factor)
    const share = (original / wave - low) / (high - low)
    return Math.fround(1 / ((1 - share) / factor + share))
  })
}

/** Differences between divisors of several converters: a few units in the last place of binary32. */
const CLOSE = 1e-5

/** The options that give these divisors, found by trying those in use; undefined if there are none. */
function llama3Of(c: DecoderConfig, divisors: readonly number[]): Llama3 | undefined {
  const factor = shortestFloat(Math.max(...divisors))
  const plain = frequencies({ theta: c.ropeTheta!, dim: c.ropeDim! })
  for (let original = 16; original <= 1 << 20; original *= 2) {
    for (const [low, high] of [
      [1, 4],
      [1, 8],
      [2, 4],
      [1, 2],
      [1, 32]
    ] as const) {
      const options = { factor, low, high, original }
      const made = llama3Divisors(plain, options)
      if (made.every((v, i) => Math.abs(v - divisors[i]!) <= CLOSE * v)) return options
    }
  }
  return undefined
}

/** Options of `config.json`, in the form that transformers 4 and 5 both read. */
export function writeHfRope(c: DecoderConfig): Fields {
  const { ropeTheta = 10_000, ropeDim = c.headDim, headDim } = c
  const scaling = scalingOf(c)
  return {
    rope_theta: hfFloat(ropeTheta),
    ...(ropeDim === headDim ? {} : { partial_rotary_factor: hfFloat(ropeDim / headDim) }),
    ...(scaling === undefined ? {} : { rope_scaling: scaling })
  }
}

function scalingOf(c: DecoderConfig): Fields | undefined {
  const { ropeDivisors, ropeDivisorsLong, ropeDivisorsShort, ropeScaling, ropeFactor = 1 } = c
  const { ropeOriginalContext: original = c.context } = c
  const own = c.ropeAttentionFactor ?? 1
  if (ropeDivisors !== undefined) {
    if (ropeFactor !== 1) return fail('ropeDivisors', 'are given with a factor, which transformers has no option for')
    const found = own === 1 ? llama3Of(c, ropeDivisors) : undefined
    if (found !== undefined) {
      const { factor, low, high } = found
      return {
        rope_type: 'llama3',
        factor: hfFloat(factor),
        low_freq_factor: hfFloat(low),
        high_freq_factor: hfFloat(high),
        original_max_position_embeddings: found.original
      }
    }
    return longScaling(ropeDivisors, ropeDivisors, own, original)
  }
  if (ropeDivisorsLong !== undefined) return longScaling(ropeDivisorsShort!, ropeDivisorsLong, own, original)
  if (ropeScaling === 'yarn') {
    const { magnitude = 1 } = rotaryOf(c, c.context)
    const usual = yarnFactor(ropeFactor)
    if ((c.yarnExtFactor ?? 1) !== 1) return fail('yarnExtFactor', 'is not 1, which transformers has no option for')
    return {
      rope_type: 'yarn',
      factor: hfFloat(ropeFactor),
      original_max_position_embeddings: original,
      beta_fast: hfFloat(c.yarnBetaFast ?? 32),
      beta_slow: hfFloat(c.yarnBetaSlow ?? 1),
      ...(Math.abs(magnitude - usual) < 1e-6 ? {} : { attention_factor: hfFloat(magnitude) })
    }
  }
  if (own !== 1) return fail('ropeAttentionFactor', 'is not 1, which transformers has no option for')
  return ropeFactor === 1 ? undefined : { rope_type: 'linear', factor: hfFloat(ropeFactor) }
}

const longScaling = (
  short: readonly number[],
  long: readonly number[],
  attentionFactor: number,
  original: number
): Fields => ({
  rope_type: 'longrope',
  short_factor: short.map(hfFloat),
  long_factor: long.map(hfFloat),
  attention_factor: hfFloat(attentionFactor),
  original_max_position_embeddings: original
})

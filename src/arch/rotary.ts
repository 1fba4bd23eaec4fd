/**
 * Tables of rotary positions (Su et al. 2021): cosines and sines of position · frequency, worked out in f64 with
 * the project's own functions and rounded once. Scalings: divisors of single frequencies (Llama 3.1, LongRoPE), one
 * linear factor, YaRN (Peng et al. 2023).
 */
import { cosCore, expCore, logCore, sinCore } from '../lib/functions.ts'

export interface RotaryTable {
  /** [context, dim/2] */
  readonly cos: Float32Array
  readonly sin: Float32Array
}

export interface Yarn {
  /** Positions that the model was first trained with. */
  readonly originalContext: number
  readonly betaFast: number
  readonly betaSlow: number
  /** How much of the ramp counts, 0 to 1. */
  readonly extFactor: number
}

export interface Rotary {
  /** Base of the frequencies, rounded to f32 as in GGUF files. */
  readonly theta: number
  /** Elements of a head that are rotated, even. */
  readonly dim: number
  /** Divides each frequency [dim/2]. */
  readonly divisors?: readonly number[] | undefined
  /** Divides every frequency; with `yarn`, those that turn seldom. Default 1. */
  readonly factor?: number | undefined
  readonly yarn?: Yarn | undefined
  /** Multiplies cosines and sines. Default 1. */
  readonly magnitude?: number | undefined
}

const TAU = 6.283185307179586

/** Radians up to which `sinCore` and `cosCore` are defined. */
export const LARGEST_ANGLE = 1048576

/** The frequency of each pair [dim/2]: theta^(-2i/dim), scaled. */
export function frequencies({ theta, dim, divisors, factor = 1, yarn }: Rotary): Float64Array {
  const logTheta = logCore(Math.fround(theta))
  const plain = Float64Array.from(
    { length: dim / 2 },
    (_, i) => expCore(((-2 * i) / dim) * logTheta) / (divisors?.[i] ?? 1)
  )
  if (yarn === undefined) return factor === 1 ? plain : plain.map(f => f / factor)
  const ramp = yarnRamp(yarn, dim, logTheta)
  return plain.map((f, i) => (f / factor) * (1 - ramp[i]!) + f * ramp[i]!)
}

/**
 * Share of each pair that keeps its frequency: 1 for pairs that turn often within the original context, 0 for those
 * that turn seldom.
 */
function yarnRamp(
  { originalContext, betaFast, betaSlow, extFactor }: Yarn,
  dim: number,
  logTheta: number
): Float64Array {
  const place = (beta: number): number => (dim * logCore(originalContext / (TAU * beta))) / (2 * logTheta)
  const low = Math.max(0, Math.floor(place(betaFast)))
  const high = Math.min(dim - 1, Math.ceil(place(betaSlow)))
  return Float64Array.from({ length: dim / 2 }, (_, i) => {
    const along = (i - low) / Math.max(0.001, high - low)
    return (1 - Math.min(1, Math.max(0, along))) * extFactor
  })
}

/**
 * @param context positions, from 0
 * @param factor per position, multiplied with the magnitude. Default 1
 * @returns cosines and sines [context, dim/2]
 */
export function rotaryTable(rotary: Rotary, context: number, factor?: (position: number) => number): RotaryTable {
  const half = rotary.dim / 2
  const { magnitude = 1 } = rotary
  const cos = new Float32Array(context * half)
  const sin = new Float32Array(context * half)
  const sizes = Float64Array.from({ length: context }, (_, p) => magnitude * (factor?.(p) ?? 1))
  for (const [i, frequency] of frequencies(rotary).entries()) {
    for (let p = 0; p < context; p++) {
      cos[p * half + i] = cosCore(p * frequency) * sizes[p]!
      sin[p * half + i] = sinCore(p * frequency) * sizes[p]!
    }
  }
  return { cos, sin }
}

/**
 * Rows of a projection whose heads rotate neighbours (2i, 2i + 1) in files and halves (i, i + dim/2) here: row r
 * here is row result[r] there. That is the order of llama.cpp's converter (`permute`). Rows of a head that are not
 * rotated stay.
 */
export function interleavedRows(heads: number, headDim: number, dim: number): Int32Array {
  const half = dim / 2
  return Int32Array.from({ length: heads * headDim }, (_, r) => {
    const within = r % headDim
    return within < dim ? r - within + 2 * (within % half) + Math.floor(within / half) : r
  })
}

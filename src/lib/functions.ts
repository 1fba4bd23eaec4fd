/**
 * The elementary functions of docs/internals/arithmetic.md section 3: evaluated in binary64 without fma, in the order
 * written there, rounded once to f32. Math.exp, Math.log and the like are not used anywhere a result can reach a model:
 * their bits differ between engines and machines. Largest errors measured by `node scripts/ulp.ts`: about half a unit
 * in the last place of f32 for all of them.
 */
import { ROUND } from './float.ts'

const LOG2E = 1.4426950408889634
export const LN2 = 0.6931471805599453
const TWO_OVER_PI = 0.6366197723675814
const PIO2_HI = 1.5707963267341256
const PIO2_LO = 6.077100506506192e-11
export const SQRT1_2 = 0.7071067811865476
export const INV_SQRT_2PI = 0.3989422804014327

/** 1/k! for k = 0 … 14; k! is exact, so each is the nearest f64 to the fraction. */
const inverseFactorial = (k: number): number => {
  let f = 1
  for (let i = 2; i <= k; i++) f *= i
  return 1 / f
}
const LOG = Float64Array.from({ length: 9 }, (_, k) => 1 / (2 * k + 3))
const TANH = Float64Array.of(1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835)
const SIN = Float64Array.from({ length: 7 }, (_, k) => (k % 2 === 0 ? 1 : -1) * inverseFactorial(2 * k + 1))
const COS = Float64Array.from({ length: 8 }, (_, k) => (k % 2 === 0 ? 1 : -1) * inverseFactorial(2 * k))
/** Chebyshev interpolation of erf(√t)/√t on [0, 16], in u = t/8 - 1, ascending powers. */
const ERF = Float64Array.of(
  0.3535309956188321,
  -0.17657623587308224,
  0.1316751217802348,
  -0.10771028937936981,
  0.09020883404928404,
  -0.07473053609826187,
  0.059888935444079985,
  -0.04574400173257201,
  0.03304758579765117,
  -0.02256359769822736,
  0.014397568196491002,
  -0.00838207414610365,
  0.0047468294006373455,
  -0.0029118389977216765,
  0.001438018248864867,
  -0.00032430257864073347,
  0.00015834105341817537,
  -0.000246708826385322,
  9.735200507674453e-5
)

/** 2ⁿ at index n + 1022, n = -1022 … 1023: exact, where Math.pow is not specified to be. */
const POW2 = new Float64Array(2046)
POW2[1022] = 1
for (let i = 1; i <= 1023; i++) POW2[1022 + i] = 2 * POW2[1021 + i]!
for (let i = 1; i <= 1022; i++) POW2[1022 - i] = POW2[1023 - i]! / 2

function horner(c: Float64Array, x: number): number {
  let p = c[c.length - 1]!
  for (let i = c.length - 2; i >= 0; i--) p = p * x + c[i]!
  return p
}

// Constants of this module alone: V8 reads an exported one anew each time, which takes a third of expCore.
const SHIFT = ROUND
const LN_2 = LN2

/** eˣ in f64 for |x| ≤ 700. */
export function expCore(x: number): number {
  const n = x * LOG2E + SHIFT - SHIFT
  const r = x - n * LN_2
  // horner over 1/k!, k = 0 … 10, written out: sampling takes it of the whole vocabulary for each token.
  const p =
    ((((((((((1 / 3628800) * r + 1 / 362880) * r + 1 / 40320) * r + 1 / 5040) * r + 1 / 720) * r + 1 / 120) * r +
      1 / 24) *
      r +
      1 / 6) *
      r +
      1 / 2) *
      r +
      1) *
      r +
    1
  return p * POW2[n + 1022]!
}

/** eˣ of an f32, as f32. */
export function exp32(x: number): number {
  if (x !== x) return NaN
  if (x > 89) return Infinity
  return x < -104 ? 0 : Math.fround(expCore(x))
}

const bits = new DataView(new ArrayBuffer(8))

/** ln x in f64 for finite x > 0. */
export function logCore(x: number): number {
  let e = 0
  if (x < 2.2250738585072014e-308) {
    // an f64 subnormal: scale it up first
    x *= 18014398509481984
    e = -54
  }
  bits.setFloat64(0, x)
  const high = bits.getUint32(0)
  e += (high >>> 20) - 1022
  bits.setUint32(0, (high & 0x000fffff) | 0x3fe00000)
  let m = bits.getFloat64(0)
  if (m < SQRT1_2) {
    m *= 2
    e -= 1
  }
  const f = (m - 1) / (m + 1)
  const s = f * f
  const q = horner(LOG, s)
  return e * LN2 + (2 * f + 2 * f * s * q)
}

/** ln x of an f32, as f32. */
export function log32(x: number): number {
  if (x !== x || x < 0) return NaN
  if (x === 0) return -Infinity
  return x === Infinity ? Infinity : Math.fround(logCore(x))
}

/** erf(x) in f64; ±1 beyond ±4, NaN for NaN. */
export function erfCore(x: number): number {
  if (x > 4) return 1
  if (x < -4) return -1
  const u = x * x * 0.125 - 1
  return x * horner(ERF, u)
}

/** erf of an f32, as f32. */
export function erf32(x: number): number {
  return Math.fround(erfCore(x))
}

/** tanh x in f64. */
export function tanhCore(x: number): number {
  if (x !== x) return NaN
  const a = Math.abs(x)
  const t = a >= 10 ? 1 : a < 0.0625 ? a * horner(TANH, a * a) : 1 - 2 / (expCore(2 * a) + 1)
  return x < 0 || Object.is(x, -0) ? -t : t
}

/** tanh of an f32, as f32. */
export function tanh32(x: number): number {
  return Math.fround(tanhCore(x))
}

function sinCos(x: number, turn: 0 | 1): number {
  const n = x * TWO_OVER_PI + ROUND - ROUND
  const r = x - n * PIO2_HI - n * PIO2_LO
  const s = r * r
  const q = (((n + turn) % 4) + 4) % 4 // cos is sin a quarter turn ahead
  const y = q % 2 === 0 ? r * horner(SIN, s) : horner(COS, s)
  return q < 2 ? y : -y
}

/** sin x in f64 for |x| ≤ 2²⁰. */
export function sinCore(x: number): number {
  return sinCos(x, 0)
}

/** cos x in f64 for |x| ≤ 2²⁰. */
export function cosCore(x: number): number {
  return sinCos(x, 1)
}

/** sin of an f32 as f32; NaN where |x| > 2²⁰. */
export function sin32(x: number): number {
  return Math.abs(x) <= 1048576 ? Math.fround(sinCos(x, 0)) : NaN
}

/** cos of an f32 as f32; NaN where |x| > 2²⁰. */
export function cos32(x: number): number {
  return Math.abs(x) <= 1048576 ? Math.fround(sinCos(x, 1)) : NaN
}

/**
 * Measures the largest error of the functions of docs/internals/arithmetic.md, in units in the last place of f32, over
 * a dense sample of their domain. The oracle is the engine's binary64 function (its error is below 2⁻²⁸ ulp of f32) or,
 * for erf, its series in binary64. Run: node scripts/ulp.ts
 */
import { cos32, erf32, exp32, log32, sin32, tanh32 } from '../src/lib/functions.ts'

const words = new Uint32Array(1)
const floats = new Float32Array(words.buffer)

/** The distance between neighbouring f32 numbers at x. */
function ulp(x: number): number {
  const e = Math.max(Math.floor(Math.log2(Math.abs(x))), -126)
  return 2 ** (Math.min(e, 127) - 23)
}

/**
 * erf by its Maclaurin series in the all-positive form 2/√π·e^(-x²)·Σ 2ⁿx^(2n+1)/(2n+1)!!, which loses nothing to
 * cancellation.
 */
function erfSeries(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; n < 200; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
    if (Math.abs(term) < Math.abs(sum) * 1e-18) break
  }
  return Math.abs(x) > 6 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

const rows: [string, (x: number) => number, (x: number) => number, number, number][] = [
  ['exp', exp32, Math.exp, -103.9, 88.72],
  ['log', log32, Math.log, 1e-45, 3e38],
  ['erf', erf32, erfSeries, -5, 5],
  ['tanh', tanh32, Math.tanh, -12, 12],
  ['sin', sin32, Math.sin, -1048576, 1048576],
  ['cos', cos32, Math.cos, -1048576, 1048576]
]

for (const [name, f, oracle, low, high] of rows) {
  let worst = 0
  let at = 0
  let count = 0
  const check = (x: number): void => {
    if (!(x >= low && x <= high)) return
    const want = oracle(x)
    const error = want === 0 ? 0 : Math.abs(f(x) - want) / ulp(want)
    count++
    if (error > worst) [worst, at] = [error, x]
  }
  const span = Math.min(high, 1000) - Math.max(low, -1000)
  for (let i = 0; i < 1000000; i++) check(Math.fround(Math.max(low, -1000) + (span * i) / 1000000)) // even steps
  for (let b = 0; b < 0x7f800000; b += 1201) {
    // even steps in the bit pattern: every binade
    words[0] = b
    check(floats[0]!)
    check(-floats[0]!)
  }
  console.log(`${name.padEnd(5)} largest error ${worst.toFixed(4)} ulp at ${at} (${count} points in [${low}, ${high}])`)
}

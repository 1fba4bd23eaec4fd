import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fma32, max32, rne, roundUp } from './float.ts'

const words = new Uint32Array(1)
const floats = new Float32Array(words.buffer)
const f32 = (bits: number): number => {
  words[0] = bits
  return floats[0]!
}
const bitsOf = (x: number): number => {
  floats[0] = x
  return words[0]!
}

/** A finite f32 as an integer multiple of 2⁻¹⁴⁹. */
function scaled(x: number): bigint {
  const b = bitsOf(x)
  const field = (b >>> 23) & 255
  const m = BigInt(field === 0 ? b & 0x7fffff : (b & 0x7fffff) | 0x800000) << BigInt(Math.max(field - 1, 0))
  return b >>> 31 ? -m : m
}

/** The f32 nearest to n·2⁻²⁹⁸, ties to even; exact integer arithmetic. */
function nearest(n: bigint): number {
  const magnitude = n < 0n ? -n : n
  const length = magnitude.toString(2).length
  const drop = BigInt(Math.max(length - 24, 149)) // to 24 bits, or to a multiple of 2⁻¹⁴⁹
  let m = magnitude >> drop
  const rest = magnitude - (m << drop)
  const half = 1n << (drop - 1n)
  if (rest > half || (rest === half && (m & 1n) === 1n)) m += 1n
  const value = Math.fround(Number(m << (drop - 149n)) * 2 ** -149)
  return n < 0n ? -value : value
}

function oracle(a: number, b: number, c: number): number {
  if (![a, b, c].every(Number.isFinite)) return Math.fround(a * b + c)
  const n = scaled(a) * scaled(b) + (scaled(c) << 149n)
  return n === 0n ? Math.fround(a * b + c) : nearest(n)
}

function check(a: number, b: number, c: number): void {
  const got = fma32(a, b, c)
  const want = oracle(a, b, c)
  assert.ok(Object.is(got, want), `fma(${a}, ${b}, ${c}) is ${want}, not ${got}`)
}

const special = [
  0, 1, 0x00000002, 0x007fffff, 0x00800000, 0x00800001, 0x33800000, 0x34000001, 0x3f7fffff, 0x3f800000, 0x3f800001,
  0x3fc00000, 0x4b7fffff, 0x4b800000, 0x7f000000, 0x7f7fffff, 0x7f7ffffe, 0x7f800000, 0x7fc00000
].flatMap(b => [f32(b), f32((b | 0x80000000) >>> 0)])

test('a fused multiply-add of all pairs and triples of special values is the exact one', () => {
  for (const a of special) for (const b of special) for (const c of special) check(a, b, c)
})

test('a fused multiply-add of random bit patterns is the exact one', () => {
  const bits = fc.integer({ min: 0, max: 0xffffffff })
  fc.assert(
    fc.property(bits, bits, bits, (a, b, c) => check(f32(a), f32(b), f32(c))),
    { numRuns: 4000 }
  )
})

test('sums that lie beside a tie go to the nearer side, where rounding twice would not', () => {
  let twice = 0
  const mantissa = fc.integer({ min: 0, max: 0x7fffff })
  fc.assert(
    fc.property(mantissa, fc.integer({ min: 13, max: 23 }), fc.boolean(), (m, k, minus) => {
      const c = f32(0x3f800000 | m)
      const u = 2 ** -k
      const a = 1 + u
      const b = (minus ? u - 1 : 1 - u) * 2 ** -24 // a·b = ∓2⁻²⁴ (1 - u²): a speck less than half a unit of c
      check(a, b, c)
      if (fma32(a, b, c) !== Math.fround(a * b + c)) twice++
    }),
    { numRuns: 2000 }
  )
  assert.ok(twice > 0, 'the cases tell a fused multiply-add from one that rounds twice')
})

test('results that are subnormal or overflow round once', () => {
  const small = fc.tuple(
    fc.integer({ min: 0, max: 0x20ffffff }),
    fc.integer({ min: 0, max: 0x20ffffff }),
    fc.integer({ min: 0, max: 0x00ffffff })
  )
  fc.assert(
    fc.property(small, fc.boolean(), ([a, b, c], minus) => check(f32(a), f32(b), minus ? -f32(c) : f32(c))),
    { numRuns: 3000 }
  )
  const half = f32(0x00400000) // 2⁻¹²⁷
  for (let k = 0; k < 30; k++) check(half, 2 ** -(22 + k), f32(k * 3))
  const max = f32(0x7f7fffff)
  for (const [a, b] of [
    [2 ** 103, 1],
    [2 ** 60, 2 ** 43],
    [Math.fround(2 ** 103 * (1 - 2 ** -24)), 1],
    [2 ** 104, 1]
  ] as const) {
    check(a, b, max)
    check(-a, b, -max)
  }
  // exactly the tie to infinity, plus or minus a speck below binary64's reach: a·b = 2¹²⁸ - 2¹⁰³ = (2²⁵ - 1)·2¹⁰³ =
  // 31·(601·1801)·2¹⁰³
  for (const speck of [2 ** -149, -(2 ** -149), 0, 1, -1]) check(31 * 2 ** 63, 601 * 1801 * 2 ** 40, speck)
})

test('cancellation leaves the exact rest', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0x3f000000, max: 0x40ffffff }),
      fc.integer({ min: 0x3f000000, max: 0x40ffffff }),
      (x, y) => {
        const a = f32(x)
        const b = f32(y)
        check(a, b, -Math.fround(a * b))
        check(-a, b, Math.fround(a * b))
      }
    ),
    { numRuns: 2000 }
  )
})

test('rne goes to the even neighbour of a tie and max follows the written comparison', () => {
  assert.deepEqual(
    [0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 127.5, 2 ** 60, 0.49999997].map(x => rne(x) + 0),
    [0, 2, 2, 0, -2, 126, 128, 2 ** 60, 0]
  )
  assert.ok(Number.isNaN(rne(NaN)) && rne(Infinity) === Infinity)
  assert.ok(max32(NaN, 1) === 1 && Number.isNaN(max32(1, NaN)) && Object.is(max32(0, -0), -0))
  assert.deepEqual(
    [0, 1, 16, 17].map(n => roundUp(n, 16)),
    [0, 16, 16, 32]
  )
})

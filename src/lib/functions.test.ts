import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cos32, cosCore, erf32, erfCore, exp32, expCore, log32, logCore, sin32, sinCore, tanh32 } from './functions.ts'

const close = (got: number, want: number, tolerance: number, what: string): void =>
  assert.ok(Math.abs(got - want) <= tolerance * Math.max(Math.abs(want), 1e-30), `${what}: ${got} is not near ${want}`)

test("the f64 cores agree with the engine's own functions far below f32 precision", () => {
  for (let i = -4000; i <= 4000; i++) {
    const x = i * 0.01731
    close(expCore(x), Math.exp(x), 1e-12, `exp ${x}`)
    close(logCore(Math.abs(x) + 1e-9), Math.log(Math.abs(x) + 1e-9), 1e-13, `log ${x}`)
    assert.ok(Math.abs(sinCore(x) - Math.sin(x)) < 1e-12 && Math.abs(cosCore(x) - Math.cos(x)) < 1e-12, `sin, cos ${x}`)
    close(tanh32(Math.fround(x)), Math.tanh(Math.fround(x)), 1.2e-7, `tanh ${x}`)
  }
  close(erfCore(1), 0.8427007929497149, 1e-9, 'erf 1')
  close(erfCore(-0.25), -0.2763263901682369, 1e-9, 'erf -0.25')
  close(logCore(5e-324), -744.4400719213812, 1e-13, 'log of the smallest number')
})

test('special values are as the contract says', () => {
  for (const f of [exp32, log32, erf32, tanh32, sin32, cos32]) assert.ok(Number.isNaN(f(NaN)), f.name)
  assert.deepEqual([exp32(90), exp32(-105), exp32(0), exp32(88.9), exp32(-Infinity)], [Infinity, 0, 1, Infinity, 0])
  assert.ok(exp32(-103.5) > 0, 'a subnormal result is kept')
  assert.deepEqual(
    [log32(0), log32(-0), log32(Infinity), log32(1), log32(-1)],
    [-Infinity, -Infinity, Infinity, 0, NaN]
  )
  assert.deepEqual([erf32(5), erf32(-Infinity), erf32(-0)], [1, -1, -0])
  assert.deepEqual([tanh32(10), tanh32(-20), tanh32(-0), tanh32(-0.01) < 0], [1, -1, -0, true])
  assert.deepEqual([sin32(0), sin32(-0), cos32(0), sin32(2 ** 21), cos32(-Infinity)], [0, -0, 1, NaN, NaN])
})

test('expCore is, to the bit, the polynomial of the contract, term by term', () => {
  const coefficients = Array.from(
    { length: 11 },
    (_, k) => 1 / Array.from({ length: k }, (_, i) => i + 1).reduce((f, i) => f * i, 1)
  )
  for (let i = -40000; i <= 40000; i++) {
    const x = i * 0.01749
    const n = x * 1.4426950408889634 + 6755399441055744 - 6755399441055744
    const r = x - n * 0.6931471805599453
    assert.equal(expCore(x), coefficients.reduceRight((p, c) => p * r + c) * 2 ** n, `${x}`)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Philox, philoxBlock } from './philox.ts'

const block = (c: number[], k: number[]): string => {
  const out = new Uint32Array(4)
  philoxBlock(c[0]!, c[1]!, c[2]!, c[3]!, k[0]!, k[1]!, out)
  return [...out].map(x => x.toString(16).padStart(8, '0')).join(' ')
}

test('blocks equal the known answers published with Random123', () => {
  assert.equal(block([0, 0, 0, 0], [0, 0]), '6627e8d5 e169c58d bc57ac4c 9b00dbd8')
  const ones = 0xffffffff
  assert.equal(block([ones, ones, ones, ones], [ones, ones]), '408f276d 41c83b0e a20bc7c6 6d5451fd')
  assert.equal(
    block([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    'd16cfe09 94fdcceb 5001e420 24126ea1'
  )
})

test('an element depends on seed, purpose, stream and index, not on the order of asking', () => {
  const one = new Philox(7, 1, 0)
  const forward = Array.from({ length: 40 }, (_, i) => one.word(i))
  const backward = Array.from({ length: 40 }, (_, i) => one.word(39 - i)).reverse()
  assert.deepEqual(forward, backward)
  const out = new Uint32Array(4)
  philoxBlock(2, 0, 0, 1, 7, 0, out)
  assert.deepEqual(forward.slice(8, 12), [...out])
  philoxBlock(1, 3, 5, 16, 0xdeadbeef, 0x12345678, out)
  assert.equal(new Philox(0x12345678deadbeefn, 16, 5).word(4 * (3 * 2 ** 32 + 1) + 2), out[2])
  for (const other of [
    new Philox(8, 1, 0),
    new Philox(7, 2, 0),
    new Philox(7, 1, 1),
    new Philox(7n + (1n << 32n), 1, 0)
  ]) {
    assert.notEqual(other.word(0), one.word(0))
  }
})

test('uniform and normal fills have the moments they should', () => {
  const uniform = new Float32Array(20000)
  const normal = new Float32Array(20000)
  new Philox(1, 1, 3).fillUniform(uniform)
  new Philox(1, 1, 3).fillNormal(normal, 0.5)
  const mean = (a: Float32Array, f: (x: number) => number): number => a.reduce((s, x) => s + f(x), 0) / a.length
  assert.ok(uniform.every(x => x >= 0 && x < 1))
  assert.ok(Math.abs(mean(uniform, x => x) - 0.5) < 0.01 && Math.abs(mean(uniform, x => x * x) - 1 / 3) < 0.01)
  assert.ok(
    Math.abs(mean(normal, x => x)) < 0.01 &&
      Math.abs(mean(normal, x => x * x) - 0.25) < 0.01 &&
      Math.abs(mean(normal, x => x ** 4) - 3 / 16) < 0.02
  )
})

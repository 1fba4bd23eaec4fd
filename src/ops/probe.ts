/**
 * Limits of the machine for `verit bench`: memory read once from end to end, and int8 dot products from registers. No
 * model uses these ops; they run through plan and pool like any other, so threads, memory and instruction set are those
 * of a model.
 */
import { ceilDiv, i32, i8, op, u8 } from './op.ts'

/** Bytes per sum of `readProbe`. */
export const READ_CHUNK = 1 << 20
/** Rounds of `dotProbe` at most: its sums stay within an int32. */
export const DOT_ROUNDS = 1 << 15
/** Multiplications and additions of `dotProbe` for each of its rows and rounds. */
export const DOT_OPERATIONS = 12 * 2 * 16 * 4 * 2

export const readProbe = op({
  name: 'readProbe',
  inputs: ['x'],
  outputs: ['y'],
  attributes: { N: 'int' },
  infer: ([x]) => ({ N: typeof x.shape[0] === 'number' && x.shape[0] % 64 === 0 ? x.shape[0] : undefined }),
  operands: a => ({
    inputs: [u8(typeof a.N === 'number' && a.N % 64 === 0 ? a.N : NaN)],
    outputs: [i32(ceilDiv(a.N, READ_CHUNK))]
  }),
  run: ([x], [y], { N }) => {
    const words = new Uint32Array(x.buffer as ArrayBuffer, x.byteOffset, N / 4)
    for (let chunk = 0; chunk < y.length; chunk++) {
      let sum = 0
      for (let i = (chunk * READ_CHUNK) / 4, end = Math.min(N / 4, i + READ_CHUNK / 4); i < end; i++)
        sum = (sum + words[i]!) | 0
      y[chunk] = sum
    }
  }
})

export const dotProbe = op({
  name: 'dotProbe',
  inputs: ['c', 'q'],
  outputs: ['y'],
  attributes: { N: 'int', rounds: 'int' },
  infer: (_, { N, rounds }) => ({ N, rounds: typeof rounds === 'number' && rounds <= DOT_ROUNDS ? rounds : undefined }),
  operands: a => ({
    inputs: [u8(2, 16, 4), i8(28, 4)],
    outputs: [i32(typeof a.rounds === 'number' && a.rounds <= DOT_ROUNDS ? a.N : NaN, 16)]
  }),
  run: ([c, q], [y], { N, rounds }) => {
    for (let j = 0; j < 16; j++) {
      let sum = 0
      for (let r = 0; r < rounds; r++) {
        for (let i = 0; i < 12; i++) {
          for (let b = 0; b < 4; b++)
            sum += ((c[4 * j + b]! & 3) + (c[64 + 4 * j + b]! & 3)) * q[4 * ((r % 16) + i) + b]!
        }
      }
      for (let n = 0; n < N; n++) y[16 * n + j] = sum
    }
  }
})

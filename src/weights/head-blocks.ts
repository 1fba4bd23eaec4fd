/**
 * Packings of an output head of Q6_K or Q8_0: activations are rounded to 14 bits, so that the logits keep the precision
 * of the layers. Matrices of the layers have the packings of block-matrices.ts.
 */
import type { Plan } from '../exec/plan.ts'
import { f16Bits } from '../lib/half.ts'
import type { DType } from '../ops/sizes.ts'
import { everyByte, fill } from './random-fill.ts'
import { groupsOf, rowSlices } from './packing.ts'
import type { MatrixSize, PackedPart, Packing, RandomFill } from './packing.ts'
import { singleOp } from './single-op.ts'

/** Brings a product of the deviations of a code and of a scale to 0.02. */
const RANDOM_FACTOR = 0.02 / 18.5 / 74

const random: RandomFill = ({ dtype }, place, draw) => {
  if (dtype === 'f32') new Float32Array(place.buffer, place.byteOffset, place.byteLength / 4).fill(RANDOM_FACTOR)
  else if (dtype === 'f16') {
    new Uint16Array(place.buffer, place.byteOffset, place.byteLength / 2).fill(f16Bits(RANDOM_FACTOR))
  } else fill(place, place.length, everyByte, draw)
}

interface HeadFormat {
  readonly name: string
  readonly ops: { readonly matmul: string; readonly rows: string; readonly repack: string }
  /** Parts, each with its bytes for a weight of a row. */
  readonly parts: readonly {
    readonly part: string
    readonly dtype: DType
    readonly rest: (inputs: number) => number[]
  }[]
  /** Bytes of a row in the file. */
  readonly rowBytes: (inputs: number) => number
}

const BYTES: Partial<Record<DType, number>> = { u8: 1, i8: 1, f16: 2, f32: 4 }

function headPacking({ name, ops, parts, rowBytes }: HeadFormat): Packing {
  const partsOf = ({ out, inputs }: MatrixSize): PackedPart[] =>
    parts.map(({ part, dtype, rest }) => ({ part, dtype, shape: [groupsOf(out, 16), ...rest(inputs)], rows: 16 }))
  const planOf = (out: number, inputs: number): Plan =>
    singleOp(ops.repack, {
      inputs: [{ name: 'raw', dtype: 'u8', bytes: out * rowBytes(inputs) }],
      outputs: partsOf({ out, inputs }).map(({ part, dtype, shape }) => ({
        name: part,
        dtype,
        bytes: shape.reduce((n, d) => n * d, BYTES[dtype]!)
      })),
      attributes: { O: out, K: inputs }
    })
  return {
    name,
    parts: partsOf,
    linear: (g, x, m, { out, inputs }, bias) => {
      const [q, scale, sum] = g.apply('quantizeFine', [x])
      const y = g.apply(ops.matmul, [q!, scale!, sum!, ...parts.map(p => m(p.part))], { O: out, K: inputs })[0]!
      return bias === undefined ? y : g.addBias(y, bias)
    },
    rows: (g, m, ids, { out, inputs }) =>
      g.apply(ops.rows, [...parts.map(p => m(p.part)), ids], { O: out, K: inputs })[0]!,
    pack: async job => {
      for (const [from, count] of rowSlices(job.out, rowBytes(job.inputs), 16)) {
        const places = Object.fromEntries(parts.map(({ part }) => [part, job.place(part, from, count)]))
        const buffers = { raw: job.raw(from, count), ...places }
        await job.run(`${name} ${count} ${job.inputs}`, () => planOf(count, job.inputs), buffers, job.badScale)
      }
    },
    random
  }
}

export const headQ6_K = headPacking({
  name: 'q6_k',
  ops: { matmul: 'fineMatmulQ6_K', rows: 'fineRowsQ6_K', repack: 'fineRepackQ6_K' },
  parts: [
    { part: 'codes', dtype: 'u8', rest: inputs => [inputs / 16, 192] },
    { part: 's', dtype: 'i8', rest: inputs => [inputs / 16, 16] },
    { part: 'd', dtype: 'f32', rest: inputs => [inputs / 256, 16] }
  ],
  rowBytes: inputs => (inputs / 256) * 210
})

export const headQ8_0 = headPacking({
  name: 'q8_0',
  ops: { matmul: 'fineMatmulQ8_0', rows: 'fineRowsQ8_0', repack: 'fineRepackQ8_0' },
  parts: [
    { part: 'codes', dtype: 'u8', rest: inputs => [inputs / 16, 256] },
    { part: 'd', dtype: 'f16', rest: inputs => [inputs / 32, 16] }
  ],
  rowBytes: inputs => (inputs / 32) * 34
})

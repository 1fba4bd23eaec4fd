/** Packings of floating-point matrices: panels of 32 rows, the layout that products read fastest (rule R1). */
import type { Plan } from '../exec/plan.ts'
import { fillBrainHalves, fillFloats, fillHalves } from './random-fill.ts'
import { groupsOf, rowSlices } from './packing.ts'
import type { MatrixSize, Packing, RandomFill } from './packing.ts'
import { singleOp } from './single-op.ts'

const shapeOf = ({ out, inputs }: MatrixSize): readonly number[] => [groupsOf(out, 32), inputs, 32]

const random: RandomFill = ({ dtype }, place, draw) => {
  if (dtype === 'f32') fillFloats(new Float32Array(place.buffer, place.byteOffset, place.byteLength / 4), draw)
  else
    (dtype === 'f16' ? fillHalves : fillBrainHalves)(
      new Uint16Array(place.buffer, place.byteOffset, place.byteLength / 2),
      draw
    )
}

const linear: Packing['linear'] = (g, x, m, { out }, bias) => g.packedLinear(x, m('panels'), out, bias)

const experts: NonNullable<Packing['experts']> = (g, x, m, chosen, { out, count }) =>
  g.expertLinear(x, m('panels'), chosen, { out, count })

const rows: NonNullable<Packing['rows']> = (g, m, ids, { out }) => g.packedEmbedding(m('panels'), ids, out)

/** `values` [rows, inputs] -> `panels` [⌈rows/32⌉, inputs, 32]. */
function floatPlan(count: number, inputs: number): Plan {
  return singleOp('panels', {
    inputs: [{ name: 'values', dtype: 'f32', bytes: count * inputs * 4 }],
    outputs: [{ name: 'panels', dtype: 'f32', bytes: groupsOf(count, 32) * inputs * 128 }],
    attributes: { Nc: count, K: inputs, layoutB: 1 }
  })
}

/** `raw` [rows, inputs] -> `panels` of the same type. */
function halfPlan(dtype: 'f16' | 'bf16', count: number, inputs: number): Plan {
  return singleOp('halfPanels', {
    inputs: [{ name: 'raw', dtype, bytes: count * inputs * 2 }],
    outputs: [{ name: 'panels', dtype, bytes: groupsOf(count, 32) * inputs * 64 }],
    attributes: { Nc: count, K: inputs, half: dtype === 'f16' ? 1 : 2 }
  })
}

/** Values of f32. Matrices of every type without a packing are decoded to it. */
export const floatPanels: Packing = {
  name: 'f32',
  parts: size => [{ part: 'panels', dtype: 'f32', shape: shapeOf(size), rows: 32 }],
  linear,
  rows,
  experts,
  pack: async job => {
    for (const [from, count] of rowSlices(job.out, 4 * job.inputs, 32)) {
      const buffers = { values: job.values(from, count), panels: job.place('panels', from, count) }
      await job.run(`panels ${count} ${job.inputs}`, () => floatPlan(count, job.inputs), buffers)
    }
  },
  random
}

const sixteenBits = (dtype: 'f16' | 'bf16'): Packing => ({
  name: dtype,
  parts: size => [{ part: 'panels', dtype, shape: shapeOf(size), rows: 32 }],
  linear,
  rows,
  experts,
  pack: async job => {
    for (const [from, count] of rowSlices(job.out, 2 * job.inputs, 32)) {
      const buffers = { raw: job.raw(from, count), panels: job.place('panels', from, count) }
      await job.run(`${dtype} ${count} ${job.inputs}`, () => halfPlan(dtype, count, job.inputs), buffers, job.notFinite)
    }
  },
  random
})

/** Values of f16, widened exactly on reading. */
export const halfPanels = sixteenBits('f16')

/** Values of bf16, widened exactly on reading. */
export const bf16Panels = sixteenBits('bf16')

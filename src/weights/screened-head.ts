/**
 * Packing of an f16 output head for output-head screening: its rows, and a 6-bit copy that decides which rows matter.
 */
import type { Plan } from '../exec/plan.ts'
import { invariant } from '../lib/errors.ts'
import { fillHalves } from './random-fill.ts'
import { groupsOf, rowSlices } from './packing.ts'
import type { MatrixSize, PackedPart, Packing } from './packing.ts'
import { singleOp } from './single-op.ts'

const COPY = ['codes', 's', 'd', 'errors'] as const

const parts = ({ out, inputs }: MatrixSize): PackedPart[] => [
  { part: 'rows', dtype: 'f16', shape: [out, inputs], rows: 1 },
  { part: 'codes', dtype: 'u8', shape: [groupsOf(out, 16), inputs / 16, 192], rows: 16 },
  { part: 's', dtype: 'i8', shape: [groupsOf(out, 16), inputs / 16, 16], rows: 16 },
  { part: 'd', dtype: 'f32', shape: [groupsOf(out, 16), inputs / 256, 16], rows: 16 },
  { part: 'errors', dtype: 'f32', shape: [groupsOf(out, 16), 2, 16], rows: 16 }
]

/** `raw` f16 rows [out, inputs] -> the parts of the copy. */
function copyPlan(out: number, inputs: number): Plan {
  const padded = groupsOf(out, 16) * 16
  const weights = padded * inputs
  return singleOp('screenQ6_K', {
    inputs: [{ name: 'raw', dtype: 'f16', bytes: out * inputs * 2 }],
    outputs: [
      { name: 'codes', dtype: 'u8', bytes: weights * 0.75 },
      { name: 's', dtype: 'i8', bytes: weights / 16 },
      { name: 'd', dtype: 'f32', bytes: weights / 64 },
      { name: 'errors', dtype: 'f32', bytes: padded * 8 }
    ],
    attributes: { O: out, K: inputs }
  })
}

export const screenedHead: Packing = {
  name: 'f16 screened',
  screened: true,
  parts,
  linear: (g, x, m, size, bias, top) => {
    invariant(
      top !== undefined && bias === undefined,
      'a screened head knows how many logits are needed, and has no bias'
    )
    const [q, scale, sum] = g.apply('quantizeFine', [x])
    const operands = [q!, scale!, sum!, m('codes'), m('s'), m('d')]
    const estimates = g.apply('fineMatmulQ6_K', operands, { O: size.out, K: size.inputs })[0]!
    const limits = g.apply('screenLimits', [x, scale!, estimates, m('errors'), top])[0]!
    return g.apply('screenedMatmul', [x, m('rows'), estimates, m('errors'), limits])[0]!
  },
  rows: (g, m, ids) => g.apply('halfRows', [m('rows'), ids])[0]!,
  pack: async job => {
    for (const [from, count] of rowSlices(job.out, 2 * job.inputs, 16)) {
      const raw = job.place('rows', from, count)
      job.readInto(from, raw)
      const copy = Object.fromEntries(COPY.map(part => [part, job.place(part, from, count)]))
      await job.run(`screen ${count} ${job.inputs}`, () => copyPlan(count, job.inputs), { raw, ...copy }, job.notFinite)
    }
  },
  random: ({ part }, place, draw) => {
    if (part === 'rows') fillHalves(new Uint16Array(place.buffer, place.byteOffset, place.byteLength / 2), draw)
  },
  derive: ({ out, inputs }) => ({
    plan: copyPlan(out, inputs),
    buffers: { raw: 'rows', ...Object.fromEntries(COPY.map(part => [part, part])) }
  })
}

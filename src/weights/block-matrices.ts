/**
 * Packings of block-quantised matrices: activations are rounded to int8 in blocks of 32, products with the codes are
 * exact integers (docs/internals/arithmetic.md). One packing for each row of `blockFormats`.
 */
import type { Plan } from '../exec/plan.ts'
import { blockFormats, packedBytes } from '../ops/block-formats.ts'
import type { BlockFormat } from '../ops/block-formats.ts'
import { fill } from './random-fill.ts'
import { rowSlices } from './packing.ts'
import type { Packing } from './packing.ts'
import { singleOp } from './single-op.ts'

const rowBytes = ({ block, bytes }: BlockFormat, inputs: number): number => (inputs / block) * bytes

function repackPlan(f: BlockFormat, out: number, inputs: number): Plan {
  return singleOp(`repack${f.name}`, {
    inputs: [{ name: 'raw', dtype: 'u8', bytes: out * rowBytes(f, inputs) }],
    outputs: [{ name: 'w', dtype: 'u8', bytes: packedBytes(f, out, inputs) }],
    attributes: { O: out, K: inputs }
  })
}

/** Bytes that make small scales wherever a scale may stand: no random model overflows. */
const smallBytes = Uint8Array.from({ length: 32 }, (_, i) => i)

function blockPacking(f: BlockFormat): Packing {
  return {
    name: f.name.toLowerCase(),
    int8: true,
    parts: ({ out, inputs }) => {
      const panels = Math.ceil(out / 16)
      return [{ part: 'w', dtype: 'u8', shape: [panels, packedBytes(f, out, inputs) / panels], rows: 16 }]
    },
    linear: (g, x, m, { out, inputs }, bias) => {
      const activations = g.apply('quantizeBlocks', [x])
      const y = g.apply(`matmul${f.name}`, [...activations, m('w')], { O: out, K: inputs })[0]!
      return bias === undefined ? y : g.addBias(y, bias)
    },
    experts: (g, x, m, experts, { out, inputs, count }) => {
      const activations = g.apply('quantizeBlocks', [x])
      return g.apply(`expertMatmul${f.name}`, [...activations, experts, m('w')], { O: out, K: inputs, E: count })[0]!
    },
    rows: (g, m, ids, { out, inputs }) => g.apply(`rows${f.name}`, [m('w'), ids], { O: out, K: inputs })[0]!,
    pack: async job => {
      for (const [from, count] of rowSlices(job.out, rowBytes(f, job.inputs), 16)) {
        const buffers = { raw: job.raw(from, count), w: job.place('w', from, count) }
        await job.run(`${f.name} ${count} ${job.inputs}`, () => repackPlan(f, count, job.inputs), buffers, job.badScale)
      }
    },
    random: (_, place, draw) => fill(place, place.length, smallBytes, draw)
  }
}

/** By ggml type. */
export const blockMatrices: ReadonlyMap<string, Packing> = new Map(blockFormats.map(f => [f.name, blockPacking(f)]))

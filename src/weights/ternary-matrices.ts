/**
 * Packings of ternary matrices: four codes per byte, or five. Both give the same bits; which is faster depends on the
 * machine.
 */
import type { Plan } from '../exec/plan.ts'
import { ternaryBytes } from './ternary-tensor.ts'
import type { TernaryTypeName } from './registry.ts'
import { base3Bytes, putBase3 } from '../ops/base3.ts'
import { ternaryFormats } from '../ops/repack.ts'
import { base3CodeBytes, fill, ternaryCodeBytes } from './random-fill.ts'
import { groupsOf } from './packing.ts'
import type { Packing } from './packing.ts'
import { singleOp } from './single-op.ts'
import { codeBytes, packCodes } from './ternary-codes.ts'

/** Trits -> codes five to a byte, into `codes` of `base3Bytes` bytes. */
function packBase3(trits: Int8Array, out: number, inputs: number, codes: Uint8Array): void {
  codes.fill(0)
  for (let o = 0; o < out; o++) {
    for (let k = 0; k < inputs; k++) putBase3(codes, o, k, inputs, trits[o * inputs + k]! + 1)
  }
}

/** `raw` bytes of a packed ternary tensor -> `codes`. */
function repackPlan(out: number, inputs: number, type: TernaryTypeName, base3: boolean): Plan {
  return singleOp('repackTernary', {
    inputs: [{ name: 'raw', dtype: 'u8', bytes: ternaryBytes(type, out * inputs) }],
    outputs: [{ name: 'codes', dtype: 'u8', bytes: (base3 ? base3Bytes : codeBytes)(out, inputs) }],
    attributes: { O: out, K: inputs, format: ternaryFormats.indexOf(type), base3: base3 ? 1 : 0 }
  })
}

function ternaryPacking(base3: boolean): Packing {
  const perBlock = base3 ? 20 : 16
  return {
    name: 'ternary',
    ternary: base3 ? 'base3' : 'two-bit',
    int8: true,
    parts: ({ out, inputs }) => [
      { part: 't', dtype: 'u8', shape: [groupsOf(out, 16), groupsOf(inputs, perBlock), 16, 4], rows: 16 },
      { part: 'm', dtype: 'f32', shape: [1] }
    ],
    linear: (g, x, m, { out }, bias) => {
      const y = g.bitLinear(x, { t: m('t'), m: m('m'), out, base3 })
      return bias === undefined ? y : g.addBias(y, bias)
    },
    pack: async job => {
      const { out, inputs } = job
      const codes = job.place('t', 0, out)
      const m = job.place('m', 0, out)
      const scale = new Float32Array(m.buffer, m.byteOffset, 1)
      const packed = job.ternaryCodes()
      if (packed === undefined) {
        const { trits, scale: value } = job.ternary()
        if (base3) packBase3(trits, out, inputs, codes)
        else packCodes(trits, out, inputs, codes)
        scale[0] = value
        return
      }
      scale[0] = packed.scale
      const type = job.type as TernaryTypeName
      const make = (): Plan => repackPlan(out, inputs, type, base3)
      await job.run(`codes ${type} ${out} ${inputs}`, make, { raw: packed.raw, codes }, job.reservedCode)
    },
    random: ({ part }, place, draw) => {
      if (part === 't') fill(place, place.length, base3 ? base3CodeBytes : ternaryCodeBytes, draw)
      else new Float32Array(place.buffer, place.byteOffset, 1).fill(1 / 64)
    }
  }
}

export const ternaryTwoBit = ternaryPacking(false)
export const ternaryBase3 = ternaryPacking(true)

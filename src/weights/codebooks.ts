/**
 * Rows of the types whose 4-bit codes are places in a table of values. Layouts: docs/internals/formats.md; source:
 * ggml's `ggml-common.h`, `ggml-quants.c` and `ggml-impl.h`; for MXFP4 also the OCP Microscaling Formats specification
 * 1.0.
 */
import { ggufTypes } from '../formats/gguf-types.ts'
import { blockFault, blockType, halfAt, scaleAt, wholeBlocks } from './weight-type.ts'
import type { BlockDecoder, WeightType } from './weight-type.ts'

/** Values of the codes of IQ4_NL and IQ4_XS. */
export const iq4Values = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

/** Twice the E2M1 values of the codes of MXFP4. Code 8 is -0 in E2M1 and 0 in ggml. */
export const e2m1Doubled = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)

/** d, 16 bytes: code i in the low half of byte i, code 16 + i in the high half. Weight d T[q], exact. */
const iq4NL: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  for (let i = 0; i < 16; i++) {
    const byte = raw[at + 2 + i]!
    out[first + i] = d * iq4Values[byte & 15]!
    out[first + 16 + i] = d * iq4Values[byte >> 4]!
  }
}

/**
 * 8 groups of 32: d, 2 bytes with the high 2 bits of the scales, 4 bytes with their low 4, then 16 bytes a group as in
 * IQ4_NL. Weight (d (s - 32)) T[q]: the first product is exact, the second is rounded once.
 */
const iq4XS: BlockDecoder = (raw, at, out, first) => {
  const d = halfAt(raw, at)
  const high = raw[at + 2]! | (raw[at + 3]! << 8)
  for (let group = 0; group < 8; group++) {
    const s = ((raw[at + 4 + (group >> 1)]! >> ((group & 1) * 4)) & 15) | (((high >> (2 * group)) & 3) << 4)
    const scale = d * (s - 32)
    const codes = at + 8 + group * 16
    const to = first + group * 32
    for (let i = 0; i < 16; i++) {
      const byte = raw[codes + i]!
      out[to + i] = scale * iq4Values[byte & 15]!
      out[to + 16 + i] = scale * iq4Values[byte >> 4]!
    }
  }
}

/**
 * Half of 2^(e - 127), for the doubled table: 2^(e - 128). The first two are subnormal, so they are built from bits.
 */
const e8m0Halved = new Float32Array(
  Uint32Array.from({ length: 256 }, (_, e) => (e < 2 ? 0x200000 << e : (e - 1) << 23)).buffer
)

/** From this exponent on the largest code, 12 x 2^(e - 128), is beyond binary32; 255 is NaN in the specification. */
const E8M0_TOO_LARGE = 253

/** e (one byte, E8M0), 16 bytes of codes as in IQ4_NL. Weight 2^(e - 128) T[q], exact. */
const mxfp4: BlockDecoder = (raw, at, out, first) => {
  const scale = e8m0Halved[raw[at]!]!
  for (let i = 0; i < 16; i++) {
    const byte = raw[at + 1 + i]!
    out[first + i] = scale * e2m1Doubled[byte & 15]!
    out[first + 16 + i] = scale * e2m1Doubled[byte >> 4]!
  }
}

function mxfp4Fault(raw: Uint8Array): string | undefined {
  const blocks = wholeBlocks('MXFP4', raw)
  const { bytes } = ggufTypes.MXFP4
  for (let b = 0; b < blocks; b++) {
    const e = raw[b * bytes]!
    if (e === 255) return blockFault('MXFP4', 'scale', b, NaN)
    if (e < E8M0_TOO_LARGE) continue
    return `${blockFault('MXFP4', 'scale', b, 2 * e8m0Halved[e]!)}, too large for 32-bit floats`
  }
  return undefined
}

export const codebooks = {
  IQ4_NL: blockType('IQ4_NL', [scaleAt(0)], iq4NL),
  IQ4_XS: blockType('IQ4_XS', [scaleAt(0)], iq4XS),
  MXFP4: { ...blockType('MXFP4', [], mxfp4), scaleFault: mxfp4Fault } satisfies WeightType
}

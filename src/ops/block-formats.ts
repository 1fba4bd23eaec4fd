/**
 * The ggml weight formats whose products Verit computes in integers: the layout of a block in a GGUF file, the meaning
 * of its numbers, and the place of each in packed memory. One row of `blockFormats` is one format; the ops of
 * block-matmul.ts, their names and native sizes follow from it. Source of the layouts: ggml-common.h and ggml-quants.c
 * of ggml.
 */
import { roundUp } from '../lib/float.ts'
import { f16Value } from '../lib/half.ts'
import type { Data } from './op.ts'

const fround = Math.fround

/** A block of a file, taken apart: a code for each weight, the bytes of each group's scale, the f16 factors. */
export interface BlockParts {
  readonly codes: Uint8Array
  readonly scales: Uint8Array
  readonly halves: Uint16Array
}

export interface BlockFormat {
  /** The ggml type. */
  readonly name: string
  /** Weights of a block, and its bytes in a file. */
  readonly block: 32 | 256
  readonly bytes: number
  /** Weights that share a scale. */
  readonly group: 16 | 32
  /** Bits of a code, low bits first, as packed memory splits them. */
  readonly planes: readonly (1 | 2 | 4 | 8)[]
  /** The integer sums of two groups of 16 are joined by their scales before d multiplies them. */
  readonly joined?: true
  /** Bytes kept for each group: its scale, its minimum. */
  readonly scaleBytes: 0 | 1 | 2
  /** Places of the f16 factors in a block of a file: d, then m or dmin. */
  readonly halves: readonly number[]
  /** Largest byte of a group's scale that a file may have; larger ones are NaN or overflow. Default 255. */
  readonly largestScale?: number
  /** The integer that a code stands for. */
  value(code: number): number
  /** The integer that a group's first byte stands for. */
  scale(byte: number): number
  /** The factor of a group from the block's d and the integer scale. */
  weight?(d: number, byte: number): number
  /** The number added to each weight of a group, from the block's second factor and the group's bytes. */
  addend?(m: number, bytes: readonly number[]): number
  /** Codes and scales of the block at byte `at`. */
  read(raw: Data, at: number, parts: BlockParts): void
}

/** Values of IQ4_NL and IQ4_XS. */
const IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
/** Values of MXFP4 (E2M1), doubled. */
const E2M1 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]

/** Low nibbles are the first 16 weights, high nibbles the others. */
function readNibbles(raw: Data, at: number, codes: Uint8Array, to = 0): void {
  for (let j = 0; j < 16; j++) {
    codes[to + j] = raw[at + j]! & 15
    codes[to + 16 + j] = raw[at + j]! >> 4
  }
}

/** Bit j of 32 is bit 4 of weight j. */
function readFifthBits(raw: Data, at: number, codes: Uint8Array): void {
  for (let j = 0; j < 32; j++) codes[j]! |= ((raw[at + (j >> 3)]! >> (j & 7)) & 1) << 4
}

/** Two bits a weight in halves of 128: plane j of four holds weights 32j … 32j + 31 of the half. */
function readTwoBits(raw: Data, at: number, codes: Uint8Array): void {
  for (let k = 0; k < 256; k++) codes[k] = (raw[at + 32 * (k >> 7) + (k & 31)]! >> (2 * ((k >> 5) & 3))) & 3
}

/** Each 32 bytes hold 32 weights in low nibbles, then 32 in high ones. */
function readChunks(raw: Data, at: number, codes: Uint8Array): void {
  for (let k = 0; k < 256; k++) codes[k] = (raw[at + 32 * (k >> 6) + (k & 31)]! >> (4 * ((k >> 5) & 1))) & 15
}

/** Eight pairs of a scale and a minimum, six bits each, in 12 bytes. */
function readPairs(raw: Data, at: number, scales: Uint8Array): void {
  for (let j = 0; j < 8; j++) {
    const low = raw[at + (j & 3)]
    const high = raw[at + 4 + (j & 3)]
    const rest = raw[at + 8 + (j & 3)]
    scales[2 * j] = j < 4 ? low! & 63 : (rest! & 15) | ((low! >> 6) << 4)
    scales[2 * j + 1] = j < 4 ? high! & 63 : (rest! >> 4) | ((high! >> 6) << 4)
  }
}

const same = (code: number): number => code
const less =
  (offset: number) =>
  (code: number): number =>
    code - offset
const asInt8 = (byte: number): number => (byte << 24) >> 24
const one = (): number => 1
const plainMinimum = (m: number): number => m
const scaledMinimum = (m: number, [, byte]: readonly number[]): number => -fround(m * byte!)

/** 2^(e-128), as an f32 holds it. */
const halfPowerOfTwo = (_: number, e: number): number => 2 ** (e - 128)

const simple = { block: 32, group: 32, scaleBytes: 0, scale: one } as const
const kQuant = { block: 256 } as const

export const blockFormats: readonly BlockFormat[] = [
  {
    ...simple,
    name: 'Q4_0',
    bytes: 18,
    planes: [4],
    halves: [0],
    value: less(8),
    read: (raw, at, { codes }) => readNibbles(raw, at + 2, codes)
  },
  {
    ...simple,
    name: 'Q4_1',
    bytes: 20,
    planes: [4],
    halves: [0, 2],
    value: same,
    addend: plainMinimum,
    read: (raw, at, { codes }) => readNibbles(raw, at + 4, codes)
  },
  {
    ...simple,
    name: 'Q5_0',
    bytes: 22,
    planes: [4, 1],
    halves: [0],
    value: less(16),
    read: (raw, at, { codes }) => {
      readNibbles(raw, at + 6, codes)
      readFifthBits(raw, at + 2, codes)
    }
  },
  {
    ...simple,
    name: 'Q5_1',
    bytes: 24,
    planes: [4, 1],
    halves: [0, 2],
    value: same,
    addend: plainMinimum,
    read: (raw, at, { codes }) => {
      readNibbles(raw, at + 8, codes)
      readFifthBits(raw, at + 4, codes)
    }
  },
  {
    ...simple,
    name: 'Q8_0',
    bytes: 34,
    planes: [8],
    halves: [0],
    value: less(128),
    read: (raw, at, { codes }) => {
      for (let j = 0; j < 32; j++) codes[j] = raw[at + 2 + j]! ^ 128
    }
  },
  {
    ...kQuant,
    name: 'Q2_K',
    bytes: 84,
    group: 16,
    joined: true,
    planes: [2],
    scaleBytes: 1,
    halves: [80, 82],
    value: same,
    scale: byte => byte & 15,
    addend: (m, [byte]) => -fround(m * (byte! >> 4)),
    read: (raw, at, { codes, scales }) => {
      readTwoBits(raw, at + 16, codes)
      for (let g = 0; g < 16; g++) scales[g] = raw[at + g]!
    }
  },
  {
    ...kQuant,
    name: 'Q3_K',
    bytes: 110,
    group: 16,
    joined: true,
    planes: [2, 1],
    scaleBytes: 1,
    halves: [108],
    value: less(4),
    scale: byte => (byte & 63) - 32,
    read: (raw, at, { codes, scales }) => {
      readTwoBits(raw, at + 32, codes)
      for (let k = 0; k < 256; k++) codes[k]! |= ((raw[at + (k & 31)]! >> (k >> 5)) & 1) << 2
      for (let g = 0; g < 16; g++) {
        const low = (raw[at + 96 + (g & 7)]! >> (4 * (g >> 3))) & 15
        const high = (raw[at + 104 + (g & 3)]! >> (2 * (g >> 2))) & 3
        scales[g] = low | (high << 4)
      }
    }
  },
  {
    ...kQuant,
    name: 'Q4_K',
    bytes: 144,
    group: 32,
    planes: [4],
    scaleBytes: 2,
    halves: [0, 2],
    value: same,
    scale: same,
    addend: scaledMinimum,
    read: (raw, at, { codes, scales }) => {
      readChunks(raw, at + 16, codes)
      readPairs(raw, at + 4, scales)
    }
  },
  {
    ...kQuant,
    name: 'Q5_K',
    bytes: 176,
    group: 32,
    planes: [4, 1],
    scaleBytes: 2,
    halves: [0, 2],
    value: same,
    scale: same,
    addend: scaledMinimum,
    read: (raw, at, { codes, scales }) => {
      readChunks(raw, at + 48, codes)
      for (let k = 0; k < 256; k++) codes[k]! |= ((raw[at + 16 + (k & 31)]! >> (k >> 5)) & 1) << 4
      readPairs(raw, at + 4, scales)
    }
  },
  {
    ...kQuant,
    name: 'Q6_K',
    bytes: 210,
    group: 16,
    planes: [4, 2],
    scaleBytes: 1,
    halves: [208],
    value: less(32),
    scale: asInt8,
    read: (raw, at, { codes, scales }) => {
      for (let k = 0; k < 256; k++) {
        const half = k >> 7
        const quarter = (k >> 5) & 3
        const l = k & 31
        const low = (raw[at + 64 * half + 32 * (quarter & 1) + l]! >> (4 * (quarter >> 1))) & 15
        codes[k] = low | (((raw[at + 128 + 32 * half + l]! >> (2 * quarter)) & 3) << 4)
      }
      for (let g = 0; g < 16; g++) scales[g] = raw[at + 192 + g]!
    }
  },
  {
    ...simple,
    name: 'IQ4_NL',
    bytes: 18,
    planes: [4],
    halves: [0],
    value: code => IQ4[code]!,
    read: (raw, at, { codes }) => readNibbles(raw, at + 2, codes)
  },
  {
    ...kQuant,
    name: 'IQ4_XS',
    bytes: 136,
    group: 32,
    planes: [4],
    scaleBytes: 1,
    halves: [0],
    value: code => IQ4[code]!,
    scale: less(32),
    read: (raw, at, { codes, scales }) => {
      for (let g = 0; g < 8; g++) {
        readNibbles(raw, at + 8 + 16 * g, codes, 32 * g)
        const low = (raw[at + 4 + (g >> 1)]! >> (4 * (g & 1))) & 15
        const high = ((raw[at + 2]! | (raw[at + 3]! << 8)) >> (2 * g)) & 3
        scales[g] = low | (high << 4)
      }
    }
  },
  {
    ...simple,
    name: 'MXFP4',
    largestScale: 252,
    bytes: 17,
    planes: [4],
    scaleBytes: 1,
    halves: [],
    value: code => E2M1[code]!,
    weight: halfPowerOfTwo,
    read: (raw, at, { codes, scales }) => {
      readNibbles(raw, at + 1, codes)
      scales[0] = raw[at]!
    }
  }
]

/** A format by its ggml type. */
export function blockFormat(name: string): BlockFormat | undefined {
  return blockFormats.find(f => f.name === name)
}

const codeBits = (f: BlockFormat): number => f.planes.reduce<number>((a, b) => a + b, 0)

/** Bytes of scales and factors of a block of 16 rows. */
const tailBytes = (f: BlockFormat): number => 16 * ((f.block / f.group) * f.scaleBytes + 2 * f.halves.length)

/** Bytes of 16 rows of K weights: all codes, then all scales and factors, up to a multiple of 64. */
export function panelBytes(f: BlockFormat, K: number): number {
  return roundUp(2 * K * codeBits(f) + (K / f.block) * tailBytes(f), 64)
}

/** Bytes of a packed matrix of O rows of K weights, in whole panels of 16 rows. K is a multiple of the block. */
export function packedBytes(f: BlockFormat, O: number, K: number): number {
  return Math.ceil(O / 16) * panelBytes(f, K)
}

/**
 * Writes or reads one code of row `o`. 64 bytes of a plane hold 16 rows x 4 weights; a byte holds as many weights of
 * its row as fit, four apart.
 */
type EachPlane = (byte: number, shift: number, mask: number, from: number) => void
function forPlanes(f: BlockFormat, o: number, k: number, K: number, each: EachPlane): void {
  const quad = (k & 31) >> 2
  let at = (o >> 4) * panelBytes(f, K) + (k >> 5) * 64 * codeBits(f)
  let from = 0
  for (const bits of f.planes) {
    const perByte = 8 / bits
    each(at + 64 * Math.floor(quad / perByte) + 4 * (o & 15) + (k & 3), bits * (quad % perByte), (1 << bits) - 1, from)
    from += bits
    at += 64 * bits
  }
}

/** Where the tail of the block of weight (o, k) starts. */
const tailAt = (f: BlockFormat, o: number, k: number, K: number): number =>
  (o >> 4) * panelBytes(f, K) + 2 * K * codeBits(f) + Math.floor(k / f.block) * tailBytes(f)

const scaleAt = (f: BlockFormat, o: number, k: number, K: number, i: number): number =>
  tailAt(f, o, k, K) + 16 * (Math.floor((k % f.block) / f.group) * f.scaleBytes + i) + (o & 15)

const halfAt = (f: BlockFormat, o: number, k: number, K: number, i: number): number =>
  tailAt(f, o, k, K) + 16 * (f.block / f.group) * f.scaleBytes + 32 * i + 2 * (o & 15)

/** Packs one block of a file, the one of weight (o, k), into memory whose bits are 0. */
export function packBlock(f: BlockFormat, raw: Data, at: number, w: Data, o: number, k: number, K: number): void {
  const halves = Uint16Array.from(f.halves, h => raw[at + h]! | (raw[at + h + 1]! << 8))
  const parts = { codes: new Uint8Array(256), scales: new Uint8Array(32), halves }
  f.read(raw, at, parts)
  for (let i = 0; i < f.block; i++) {
    forPlanes(f, o, k + i, K, (byte, shift, mask, from) => {
      w[byte]! |= ((parts.codes[i]! >> from) & mask) << shift
    })
  }
  for (let g = 0; g < f.block / f.group; g++) {
    for (let i = 0; i < f.scaleBytes; i++) w[scaleAt(f, o, k + g * f.group, K, i)] = parts.scales[g * f.scaleBytes + i]!
  }
  for (const [i, h] of parts.halves.entries()) {
    const to = halfAt(f, o, k, K, i)
    w[to] = h & 255
    w[to + 1] = h >> 8
  }
}

/**
 * A row of packed memory as numbers: K integers, and for each group the integer scale, the factors d and d·scale, and
 * the number added to each weight.
 */
export interface BlockRow {
  readonly values: Int32Array
  readonly scales: Int32Array
  readonly d: Float32Array
  readonly weights: Float32Array
  readonly addends: Float32Array
}

/** Row `o` of the matrix at byte `from` of packed memory. */
export function unpackRow(f: BlockFormat, w: Data, from: number, o: number, K: number): BlockRow {
  const groups = K / f.group
  const values = new Int32Array(K)
  const scales = new Int32Array(groups)
  const d = new Float32Array(groups)
  const weights = new Float32Array(groups)
  const addends = new Float32Array(groups)
  for (let k = 0; k < K; k++) {
    let code = 0
    forPlanes(f, o, k, K, (byte, shift, mask, place) => {
      code |= ((w[from + byte]! >> shift) & mask) << place
    })
    values[k] = f.value(code)
  }
  for (let g = 0; g < groups; g++) {
    const k = g * f.group
    const half = (i: number): number => {
      const at = from + halfAt(f, o, k, K, i)
      return f16Value(w[at]! | (w[at + 1]! << 8))
    }
    const bytes = Array.from({ length: f.scaleBytes }, (_, i): number => w[from + scaleAt(f, o, k, K, i)]!)
    scales[g] = f.scale(bytes[0] ?? 0)
    d[g] = f.halves.length > 0 ? half(0) : 1
    weights[g] = f.weight?.(d[g]!, bytes[0]!) ?? d[g]! * scales[g]!
    addends[g] = f.addend?.(half(1), bytes) ?? 0
  }
  return { values, scales, d, weights, addends }
}

/**
 * Random numbers that depend on position, never on call order: Philox 4x32-10 (Salmon et al., "Parallel random numbers:
 * as easy as 1, 2, 3", SC'11), keyed by a seed, with the counter (block low, block high, stream, purpose).
 * docs/internals/arithmetic.md section 3 gives the purposes in use.
 */
import { cosCore, logCore } from './functions.ts'

/** Purpose of a stream of numbers; the last counter word. Dropout adds its site number to `dropout`. */
export const purpose = { initialisation: 1, batches: 2, sampling: 3, dropout: 16 } as const

/** The high 32 bits of a·b, both unsigned 32-bit. */
function mulHigh(a: number, b: number): number {
  const al = a & 0xffff
  const ah = a >>> 16
  const bl = b & 0xffff
  const bh = b >>> 16
  const low = al * bl
  const mid = ah * bl + (low >>> 16) // below 2³³: exact, but not a 32-bit integer
  const mid2 = al * bh + (mid % 65536)
  return (ah * bh + Math.floor(mid / 65536) + Math.floor(mid2 / 65536)) >>> 0
}

/**
 * One block: four 32-bit words for a counter of four words and a key of two.
 * @param out receives the words; length 4
 */
export function philoxBlock(
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  k0: number,
  k1: number,
  out: Uint32Array
): void {
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(0xd2511f53, c0 >>> 0)
    const low0 = Math.imul(0xd2511f53, c0)
    const high1 = mulHigh(0xcd9e8d57, c2 >>> 0)
    const low1 = Math.imul(0xcd9e8d57, c2)
    c0 = high1 ^ c1 ^ k0
    c1 = low1
    c2 = high0 ^ c3 ^ k1
    c3 = low0
    k0 = (k0 + 0x9e3779b9) | 0
    k1 = (k1 + 0xbb67ae85) | 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** One stream of random numbers, addressed by index; nothing is consumed. */
export class Philox {
  readonly #k0: number
  readonly #k1: number
  readonly #stream: number
  readonly #purpose: number
  readonly #words = new Uint32Array(4)
  #block = -1

  /**
   * @param seed 64 bits; a number must be a safe integer from 0
   * @param purpose of the numbers, 32 bits
   * @param stream of that purpose, 32 bits
   */
  constructor(seed: number | bigint, purpose: number, stream: number) {
    const wide = BigInt.asUintN(64, BigInt(seed))
    this.#k0 = Number(wide & 0xffffffffn) | 0
    this.#k1 = Number(wide >> 32n) | 0
    this.#purpose = purpose
    this.#stream = stream
  }

  /** Element i as an unsigned 32-bit integer, 0 ≤ i < 2⁵³. */
  word(i: number): number {
    const block = Math.floor(i / 4)
    if (block !== this.#block) {
      philoxBlock(
        block | 0,
        Math.floor(block / 4294967296),
        this.#stream,
        this.#purpose,
        this.#k0,
        this.#k1,
        this.#words
      )
      this.#block = block
    }
    return this.#words[i - block * 4]!
  }

  /** Element i as a number in [0, 1), a multiple of 2⁻²⁴. */
  uniform(i: number): number {
    return (this.word(i) >>> 8) * 2 ** -24
  }

  /** Element i of the normal numbers (mean 0, deviation 1; Box and Muller), as f32; uses words 2i and 2i + 1. */
  normal(i: number): number {
    const u = ((this.word(2 * i) >>> 8) + 0.5) * 2 ** -24
    const v = (this.word(2 * i + 1) >>> 8) * 2 ** -24
    return Math.fround(Math.sqrt(-2 * logCore(u)) * cosCore(6.283185307179586 * v))
  }

  /** Fills with uniform numbers in [0, 1), elements 0, 1, … */
  fillUniform(out: Float32Array): void {
    for (let i = 0; i < out.length; i++) out[i] = this.uniform(i)
  }

  /** Fills with normal numbers times `deviation` (an f32; one rounded product each), elements 0, 1, … */
  fillNormal(out: Float32Array, deviation = 1): void {
    const d = Math.fround(deviation)
    for (let i = 0; i < out.length; i++) out[i] = this.normal(i) * d
  }
}

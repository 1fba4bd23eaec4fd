/**
 * 64-bit sketches of prompts: near-identical texts have sketches that differ in few bits, and a sketch does not reveal
 * its text. One-permutation MinHash (Li, Owen, Zhang 2012) with one bit kept of each minimum (b-bit minwise hashing, Li
 * and König 2010) over shingles of five characters or tokens.
 */

const BINS = 64
const SHINGLE = 5
/**
 * Characters considered at the beginning and at the end of a longer prompt, so that the cost of a request is bounded.
 */
const PART = 2048
/** Shorter prompts have too few shingles to be alike by more than chance: they must be equal. */
const FEW = 32
/** Base of the rolling hash of a shingle (Karp and Rabin 1987), modulo 2^32. */
const BASE = 0x9e3779b1 | 0
const BASE_TO_SHINGLE = Array<number>(SHINGLE)
  .fill(BASE)
  .reduce((product, b) => Math.imul(product, b), 1)
/** Bits in which near-identical prompts may differ: about four fifths of their shingles are the same. */
const NEAR_BITS = 6

export interface Sketch {
  readonly low: number
  readonly high: number
  /** Whether the prompt has few shingles. */
  readonly short: boolean
}

/** @param salt of this process: without it, nobody can make prompts that share a sketch */
export function sketchOf(prompt: string | readonly number[], salt: number): Sketch {
  const at =
    typeof prompt === 'string' ? (i: number): number => prompt.charCodeAt(i) : (i: number): number => prompt[i]!
  const minima = new Uint32Array(BINS).fill(0xffffffff)
  const parts =
    prompt.length <= 2 * PART
      ? [[0, prompt.length]]
      : [
          [0, PART],
          [prompt.length - PART, prompt.length]
        ]
  let shingles = 0
  const put = (rolling: number): void => {
    const h = mix(rolling ^ salt)
    const bin = h & (BINS - 1)
    if (h >>> 6 < minima[bin]!) minima[bin] = h >>> 6
    shingles++
  }
  for (const [start, end] of parts as [number, number][]) {
    let h = 0
    for (let i = start; i < end; i++) {
      h = (Math.imul(h, BASE) + at(i)) | 0
      if (i - start >= SHINGLE) h = (h - Math.imul(BASE_TO_SHINGLE, at(i - SHINGLE))) | 0
      if (i - start >= SHINGLE - 1) put(h)
    }
    if (end - start < SHINGLE) put(h)
  }
  return { ...bitsOf(minima), short: shingles < FEW }
}

export function isNear(a: Sketch, b: Sketch): boolean {
  const differ = ones(a.low ^ b.low) + ones(a.high ^ b.high)
  return a.short || b.short ? differ === 0 && a.short === b.short : differ <= NEAR_BITS
}

/** A well mixed 32-bit hash of a number (the finaliser of MurmurHash3). */
export function mix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** One bit of each bin's minimum; an empty bin borrows from the next one that is not (Shrivastava and Li 2014). */
function bitsOf(minima: Uint32Array): { low: number; high: number } {
  const words = [0, 0]
  for (let bin = 0; bin < BINS; bin++) {
    let steps = 0
    while (minima[(bin + steps) % BINS] === 0xffffffff && steps < BINS) steps++
    const bit = mix(minima[(bin + steps) % BINS]! + Math.imul(steps, 0x9e3779b9)) & 1
    words[bin >> 5]! |= bit << (bin & 31)
  }
  return { low: words[0]! >>> 0, high: words[1]! >>> 0 }
}

function ones(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555)
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333)
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

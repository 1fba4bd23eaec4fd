/**
 * Mutations for fuzzing: of bytes, of binary fields, and of text by its own pieces. Every choice comes from one seeded
 * stream, so that an input can be made again.
 */

/** Numbers from 0 to below n. Small and seeded: mulberry32. */
export class Choices {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n)
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}

/** Changes to one input: mostly one, for two faults seldom get past the check of the first. */
const ROUNDS = [1, 1, 1, 2, 3, 5]
const EXTREMES = [
  0n,
  1n,
  2n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  2n ** 32n,
  2n ** 40n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n
]

/**
 * Flips, extreme numbers, small steps, cuts, doubled, moved and joined parts. `focus` is where faults matter most:
 * three of four mutations hit before it.
 */
export function mutateBytes(seed: Uint8Array, other: Uint8Array, focus: number, c: Choices): Buffer {
  let bytes = Buffer.from(seed)
  for (let n = c.of(ROUNDS); n > 0 && bytes.length > 8; n--) {
    const at = c.below(c.below(4) === 0 ? bytes.length : Math.min(Math.max(1, focus), bytes.length))
    const length = 1 + c.below(c.below(2) === 0 ? 8 : 64)
    const from = c.below(bytes.length)
    switch (c.below(10)) {
      case 0:
        bytes[at]! ^= 1 << c.below(8)
        break
      case 1:
        bytes[at] = c.below(256)
        break
      case 2:
        bytes.writeBigUInt64LE(c.of(EXTREMES), Math.min(at, bytes.length - 8))
        break
      case 3:
        bytes.writeUInt32LE(Number(c.of(EXTREMES) & 0xffffffffn), Math.min(at, bytes.length - 4))
        break
      case 4: {
        const place = Math.min(at, bytes.length - 4)
        bytes.writeUInt32LE((bytes.readUInt32LE(place) + c.below(17) - 8) >>> 0, place)
        break
      }
      case 5:
        bytes = bytes.subarray(0, at)
        break
      case 6:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + length), bytes.subarray(at)])
        break
      case 7:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
        break
      case 8:
        bytes.copyWithin(at, from, Math.min(from + length, bytes.length))
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(c.below(other.length))])
    }
  }
  return bytes
}

/** Pieces taken out, doubled, swapped, replaced by others of the same text or by words that are known to be hard. */
export function mutatePieces(seed: readonly string[], words: readonly string[], c: Choices): string {
  const pieces = [...seed]
  for (let n = c.of(ROUNDS); n > 0 && pieces.length > 0; n--) {
    const at = c.below(pieces.length)
    const other = c.below(pieces.length)
    switch (c.below(8)) {
      case 0:
        pieces.splice(at, 1 + c.below(4))
        break
      case 1:
        pieces.splice(at, 0, ...pieces.slice(other, other + 1 + c.below(12)))
        break
      case 2:
        pieces[at] = pieces[other]!
        break
      case 3:
      case 4:
        pieces[at] = c.of(words)
        break
      case 5:
        pieces.splice(at, 0, c.of(words))
        break
      case 6:
        pieces.splice(at, 0, c.of(words).repeat(1 + c.below(64)))
        break
      default: {
        const piece = pieces[at]!
        pieces[at] =
          piece.slice(0, c.below(piece.length + 1)) +
          String.fromCodePoint(c.of([0, 0x22, 0x5c, 0x7b, 0x25, 0x28, 0x41, 0xe9, 0x20ac, 0xd800, 0xfeff, 0x1f600])) +
          piece.slice(c.below(piece.length + 1))
      }
    }
  }
  return pieces.join('')
}

/** A text cut into words, numbers, spaces and single signs. */
export const piecesOf = (text: string): string[] => text.match(/\w+|\s+|[^\w\s]/gu) ?? []

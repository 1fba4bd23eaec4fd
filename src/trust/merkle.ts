/**
 * Merkle trees over SHA-256 as RFC 6962 section 2.1 and RFC 9162 section 2.1 define them: a leaf is SHA-256(0x00 data),
 * a node SHA-256(0x01 left right), the empty tree SHA-256 of nothing. Sizes and indexes are integers from 0 to 2^53 -
 * 1; a node (level, index) covers the leaves
 * [index * 2^level, (index + 1) * 2^level). Proofs are checked in merkle-verify.ts, which shares nothing with how they
 * are made.
 */
import { hash } from 'node:crypto'
import { invariant } from '../lib/errors.ts'

/** Bytes of a hash. */
export const HASH_BYTES = 32

const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer')

/** Root of the tree without leaves. */
export const emptyRoot: Buffer = sha256(new Uint8Array())

export function leafHash(data: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(1 + data.length)
  bytes[0] = 0
  bytes.set(data, 1)
  return sha256(bytes)
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(1 + 2 * HASH_BYTES)
  bytes[0] = 1
  bytes.set(left, 1)
  bytes.set(right, 1 + HASH_BYTES)
  return sha256(bytes)
}

/** Gives the hash of a whole node: all of its leaves are in the tree. */
export type NodeSource = (level: number, index: number) => Uint8Array

/** The right edge of a growing tree: at most 53 hashes, from which its root follows. */
export class CompactRange {
  #size = 0
  /** Whole subtrees from the left, the largest first. */
  #hashes: Uint8Array[] = []

  /** Leaves so far. */
  get size(): number {
    return this.#size
  }

  /** Appends a whole subtree of 2^level leaves, by default one leaf. The size must be a multiple of that. */
  append(subtree: Uint8Array, level = 0): void {
    invariant(this.#size % 2 ** level === 0, `a subtree of level ${level} cannot follow ${this.#size} leaves`)
    let node = subtree
    for (let place = Math.floor(this.#size / 2 ** level); place % 2 === 1; place = Math.floor(place / 2))
      node = nodeHash(this.#hashes.pop()!, node)
    this.#hashes.push(node)
    this.#size += 2 ** level
    invariant(Number.isSafeInteger(this.#size), 'a tree has at most 2^53 - 1 leaves')
  }

  root(): Uint8Array {
    return this.#hashes.length === 0 ? emptyRoot : this.#hashes.reduceRight((right, left) => nodeHash(left, right))
  }

  /** An independent copy. */
  clone(): CompactRange {
    const copy = new CompactRange()
    copy.#size = this.#size
    copy.#hashes = [...this.#hashes]
    return copy
  }
}

/** Root of the first `size` leaves of the tree behind `source`. */
export function rootOf(size: number, source: NodeSource): Uint8Array {
  return size === 0 ? emptyRoot : hashFrom(0, size, source)
}

/** Hash of the leaves [start, end), where start is a multiple of the least power of two at or above end - start. */
function hashFrom(start: number, end: number, source: NodeSource): Uint8Array {
  const parts: Uint8Array[] = []
  for (let at = start; at < end;) {
    let level = 0
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= end) level++
    parts.push(source(level, at / 2 ** level))
    at += 2 ** level
  }
  return parts.reduceRight((right, left) => nodeHash(left, right))
}

/**
 * Siblings on the way from a whole node up to the root of a tree of `size` leaves. Where the right edge has none, the
 * level is left out.
 */
function pathFrom(level: number, index: number, size: number, source: NodeSource): Uint8Array[] {
  const path: Uint8Array[] = []
  for (let l = level, i = index; 2 ** l < size; l++, i = Math.floor(i / 2)) {
    const sibling = i % 2 === 0 ? i + 1 : i - 1
    const [start, end] = [sibling * 2 ** l, Math.min((sibling + 1) * 2 ** l, size)]
    if (start < size) path.push(hashFrom(start, end, source))
  }
  return path
}

/** Proof that leaf `index` is in the tree of `size` leaves (RFC 9162, 2.1.3.1): hashes from the leaf's sibling up. */
export function inclusionProof(index: number, size: number, source: NodeSource): Uint8Array[] {
  invariant(index >= 0 && index < size, `there is no leaf ${index} in a tree of ${size}`)
  return pathFrom(0, index, size, source)
}

/**
 * Proof that the tree of `newer` leaves begins with the tree of `older` leaves (RFC 9162, 2.1.4.1). From 0, or between
 * equal sizes, it is empty.
 */
export function consistencyProof(older: number, newer: number, source: NodeSource): Uint8Array[] {
  invariant(older >= 0 && older <= newer, `a tree of ${newer} leaves does not begin with ${older}`)
  if (older === 0 || older === newer) return []
  // The last whole subtree of the older tree; where it is all of that tree, the verifier knows its hash already.
  let level = 0
  while (older % 2 ** (level + 1) === 0) level++
  const index = older / 2 ** level - 1
  const path = pathFrom(level, index, newer, source)
  return index === 0 ? path : [source(level, index), ...path]
}

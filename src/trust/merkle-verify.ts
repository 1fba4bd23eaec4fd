/**
 * Checks inclusion and consistency proofs of Merkle trees, step by step as RFC 9162 sections 2.1.3.2 and 2.1.4.2 write
 * it down. Whatever is malformed (sizes, indexes, lengths of hashes) is simply not a proof.
 */
import { HASH_BYTES, emptyRoot, nodeHash } from './merkle.ts'

const half = (n: number): number => Math.floor(n / 2)
const isSize = (n: number): boolean => Number.isSafeInteger(n) && n >= 0
const areHashes = (list: readonly Uint8Array[]): boolean => list.every(h => h.length === HASH_BYTES)
const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

function isPowerOfTwo(n: number): boolean {
  let rest = n
  while (rest % 2 === 0) rest /= 2
  return rest === 1
}

/**
 * Whether `proof` shows that the leaf with hash `leaf` is number `index` of the tree of `size` leaves whose root is
 * `root`.
 */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  proof: readonly Uint8Array[],
  root: Uint8Array
): boolean {
  if (!isSize(index) || !isSize(size) || index >= size || !areHashes([leaf, root, ...proof])) return false
  let fn = index
  let sn = size - 1
  let r = leaf
  for (const p of proof) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      r = nodeHash(p, r)
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn)
        sn = half(sn)
      }
    } else {
      r = nodeHash(r, p)
    }
    fn = half(fn)
    sn = half(sn)
  }
  return sn === 0 && equal(r, root)
}

/**
 * Whether `proof` shows that the tree of `newer` leaves with root `newRoot` begins with the tree of `older` leaves with
 * root `oldRoot`.
 */
export function verifyConsistency(
  older: number,
  newer: number,
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
  proof: readonly Uint8Array[]
): boolean {
  if (!isSize(older) || !isSize(newer) || older > newer || !areHashes([oldRoot, newRoot, ...proof])) return false
  if (older === newer) return proof.length === 0 && equal(oldRoot, newRoot) && (older > 0 || equal(oldRoot, emptyRoot))
  if (older === 0) return proof.length === 0 && equal(oldRoot, emptyRoot)
  const path = isPowerOfTwo(older) ? [oldRoot, ...proof] : proof
  if (path.length === 0 || proof.length === 0) return false
  let fn = older - 1
  let sn = newer - 1
  while (fn % 2 === 1) {
    fn = half(fn)
    sn = half(sn)
  }
  let fr = path[0]!
  let sr = path[0]!
  for (const c of path.slice(1)) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(c, fr)
      sr = nodeHash(c, sr)
      while (fn % 2 === 0 && fn !== 0) {
        fn = half(fn)
        sn = half(sn)
      }
    } else {
      sr = nodeHash(sr, c)
    }
    fn = half(fn)
    sn = half(sn)
  }
  return sn === 0 && equal(fr, oldRoot) && equal(sr, newRoot)
}

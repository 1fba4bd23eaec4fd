/**
 * Byte-pair encoding of one word: of all adjacent pairs that have a merge, the one of lowest rank is merged, the leftmost first,
 * until none is left (Sennrich et al. 2016; the order of Hugging Face's and llama.cpp's encoders). A heap makes it
 * O(n log n), so that a word of a million letters is no attack.
 */
import type { PairIndex } from './pairs.ts'

/** Ranks times this plus a position is a heap key: exact in a double for ranks below 2^21 and words below 2^31 symbols. */
const POSITIONS = 2 ** 31

export class WordMerger {
  #pairs: PairIndex
  #result: Int32Array
  #rank: Int32Array | undefined
  #onPair: ((pair: number) => void) | undefined
  #heap = new Float64Array(64)
  #size = 0
  #next = new Int32Array(64)
  #previous = new Int32Array(64)

  /**
   * @param pairs merges
   * @param result by index of a pair: the token id that its merge makes
   * @param rank by index of a pair: its rank, which several pairs may share. Default: the index.
   * @param onPair is told of each pair that comes to stand side by side
   */
  constructor(pairs: PairIndex, result: Int32Array, rank?: Int32Array, onPair?: (pair: number) => void) {
    this.#pairs = pairs
    this.#result = result
    this.#rank = rank
    this.#onPair = onPair
  }

  /** Merges `ids[0, n)` in place and returns how many ids are left. */
  merge(ids: Int32Array, n: number): number {
    if (n < 2) return n
    if (this.#next.length < n) {
      this.#next = new Int32Array(2 * n)
      this.#previous = new Int32Array(2 * n)
    }
    const next = this.#next
    const previous = this.#previous
    this.#size = 0
    for (let i = 0; i < n; i++) {
      next[i] = i + 1
      previous[i] = i - 1
      if (i + 1 < n) this.#offer(ids[i]!, ids[i + 1]!, i)
    }
    while (this.#size > 0) {
      const key = this.#pop()
      const rank = Math.floor(key / POSITIONS)
      const i = key - rank * POSITIONS
      // An entry is stale when its left symbol was merged away (-1) or either symbol has changed since.
      const a = ids[i]!
      const j = next[i]!
      if (a < 0 || j >= n) continue
      let pair = rank
      if (this.#rank === undefined) {
        if (a !== this.#pairs.left(rank) || ids[j] !== this.#pairs.right(rank)) continue
      } else {
        // Another pair of the same rank that stands there by now has an entry of its own with this very key: either may serve it.
        pair = this.#pairs.get(a, ids[j]!)
        if (pair < 0 || this.#rank[pair] !== rank) continue
      }
      const merged = this.#result[pair]!
      ids[i] = merged
      ids[j] = -1
      const k = next[j]!
      next[i] = k
      const h = previous[i]!
      if (h >= 0) this.#offer(ids[h]!, merged, h)
      if (k < n) {
        previous[k] = i
        this.#offer(merged, ids[k]!, i)
      }
    }
    let left = 0
    for (let i = 0; i < n; i = next[i]!) ids[left++] = ids[i]!
    if (this.#next.length > 1 << 16) { // one giant word should not hold memory for ever
      this.#next = new Int32Array(64)
      this.#previous = new Int32Array(64)
      this.#heap = new Float64Array(64)
    }
    return left
  }

  #offer(a: number, b: number, position: number): void {
    const pair = this.#pairs.get(a, b)
    if (pair < 0) return
    this.#onPair?.(pair)
    const rank = this.#rank === undefined ? pair : this.#rank[pair]!
    if (this.#size === this.#heap.length) {
      const larger = new Float64Array(2 * this.#size)
      larger.set(this.#heap)
      this.#heap = larger
    }
    const heap = this.#heap
    const key = rank * POSITIONS + position
    let i = this.#size++
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (heap[parent]! <= key) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = key
  }

  #pop(): number {
    const heap = this.#heap
    const top = heap[0]!
    const key = heap[--this.#size]!
    const n = this.#size
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= n) break
      if (child + 1 < n && heap[child + 1]! < heap[child]!) child++
      if (heap[child]! >= key) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = key
    return top
  }
}

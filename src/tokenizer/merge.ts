/**
 * Byte-pair encoding of one word: the adjacent pair with the merge of lowest rank is merged, the leftmost first, until
 * none is left (Sennrich et al. 2016; the order of Hugging Face's and llama.cpp's encoders). A heap makes it O(n log
 * n), so a word of a million letters is no attack; a long word is merged in steps, so that other work continues.
 */
import { finish } from '../lib/steps.ts'
import type { Steps } from '../lib/steps.ts'
import type { PairIndex } from './pairs.ts'

/**
 * Ranks times this plus a position is a heap key: exact in a double for ranks below 2^21 and words below 2^31 symbols.
 */
const POSITIONS = 2 ** 31
/** Symbols or merges of one step: each takes up to a microsecond. */
const STEP = 512
/** Maximum symbols that one step copies. */
const COPIES = 1 << 15
/** Symbols up to which the arrays of one word serve the next. */
const SHARED = 1 << 14

/** Called for each new adjacent pair. */
export type OnPair = (pair: number) => void

export class WordMerger {
  #pairs: PairIndex
  #result: Int32Array
  #rank: Int32Array | undefined
  /** For words that are merged in one go. */
  #shared = new Workspace(64)

  /**
   * @param pairs merges
   * @param result by index of a pair: the token id that its merge makes
   * @param rank by index of a pair: its rank, which several pairs may share. Default: the index.
   */
  constructor(pairs: PairIndex, result: Int32Array, rank?: Int32Array) {
    this.#pairs = pairs
    this.#result = result
    this.#rank = rank
  }

  /** Merges `ids[0, n)` in place and returns how many ids are left. */
  merge(ids: Int32Array, n: number, onPair?: OnPair): number {
    if (n < 2) return n
    if (n > SHARED) return finish(this.merging(ids, n, onPair))
    if (n > this.#shared.next.length) this.#shared = new Workspace(2 * n)
    const word = this.#shared.take(ids, n, onPair)
    this.#prepare(word, 0, n)
    this.#work(word, Infinity)
    let left = 0
    for (let i = 0; i < n; i = word.next[i]!) ids[left++] = ids[i]!
    return left
  }

  /** The same in steps. Several may run concurrently; each takes up to 40 bytes a symbol. */
  *merging(ids: Int32Array, n: number, onPair?: OnPair): Steps<number> {
    if (n < 2) return n
    const word = new Workspace(n).take(ids, n, onPair)
    for (let i = 0; i < n; i += STEP) {
      this.#prepare(word, i, Math.min(n, i + STEP))
      yield
    }
    while (!this.#work(word, STEP)) yield
    let left = 0
    for (let from = 0; from < n;) {
      const to = Math.min(n, from + COPIES)
      while (from < to) {
        ids[left++] = ids[from]!
        from = word.next[from]!
      }
      yield
    }
    return left
  }

  /** Notes neighbours and pairs of the symbols from `from` to `to`. */
  #prepare(word: Workspace, from: number, to: number): void {
    const { ids, n, next, previous } = word
    for (let i = from; i < to; i++) {
      next[i] = i + 1
      previous[i] = i - 1
      if (i + 1 < n) this.#offer(word, ids[i]!, ids[i + 1]!, i)
    }
  }

  /** Takes up to `steps` pairs off the heap. Says whether none is left. */
  #work(word: Workspace, steps: number): boolean {
    const { ids, n, next, previous, heap } = word
    for (; steps > 0 && heap.size > 0; steps--) {
      const key = heap.pop()
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
        // Another pair of the same rank at this position has its own entry with this very key: either may serve it.
        pair = this.#pairs.get(a, ids[j]!)
        if (pair < 0 || this.#rank[pair] !== rank) continue
      }
      const merged = this.#result[pair]!
      ids[i] = merged
      ids[j] = -1
      const k = next[j]!
      next[i] = k
      const h = previous[i]!
      if (h >= 0) this.#offer(word, ids[h]!, merged, h)
      if (k < n) {
        previous[k] = i
        this.#offer(word, merged, ids[k]!, i)
      }
    }
    return heap.size === 0
  }

  #offer(word: Workspace, a: number, b: number, position: number): void {
    const pair = this.#pairs.get(a, b)
    if (pair < 0) return
    word.onPair?.(pair)
    word.heap.push((this.#rank === undefined ? pair : this.#rank[pair]!) * POSITIONS + position)
  }
}

/** A word under work: neighbours by position, and the pairs that can be merged. */
class Workspace {
  readonly next: Int32Array
  readonly previous: Int32Array
  readonly heap: Heap
  ids: Int32Array = new Int32Array(0)
  n = 0
  onPair: OnPair | undefined

  /** @param symbols of the longest word */
  constructor(symbols: number) {
    this.next = new Int32Array(symbols)
    this.previous = new Int32Array(symbols)
    this.heap = new Heap(symbols)
  }

  take(ids: Int32Array, n: number, onPair: OnPair | undefined): this {
    this.ids = ids
    this.n = n
    this.onPair = onPair
    return this
  }
}

/** A binary min-heap of numbers. */
class Heap {
  #keys: Float64Array
  size = 0

  constructor(room: number) {
    this.#keys = new Float64Array(room)
  }

  push(key: number): void {
    if (this.size === this.#keys.length) {
      const larger = new Float64Array(2 * this.size)
      larger.set(this.#keys)
      this.#keys = larger
    }
    const heap = this.#keys
    let i = this.size++
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (heap[parent]! <= key) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = key
  }

  pop(): number {
    const heap = this.#keys
    const top = heap[0]!
    const key = heap[--this.size]!
    const n = this.size
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

/**
 * Learns the merges of a byte-level BPE from word counts. Each step merges the most frequent adjacent pair of tokens;
 * ties go to the smaller left, then the smaller right byte string. The rule does not depend on the order of words or
 * pairs. Counts are updated word by word (an index from each pair to its words), and the maximum is in a heap whose
 * outdated entries are corrected when they surface.
 */
import type { Progress } from '../lib/progress.ts'
import { unspell } from './bytes.ts'
import { PairIndex } from './pairs.ts'

export interface TrainBpeOptions {
  /** Vocabulary size: the 256 bytes and merged tokens. At least 256. */
  tokens: number
  /** Pairs seen less often are not merged. Default 2. */
  minCount?: number
  /** Spelled tokens that must not be made, since a special token has that name. */
  reserved?: ReadonlySet<string>
  progress?: Progress
}

export interface Merge {
  /** Token ids: 0 to 255 are the bytes, 256 + m is the m-th new token. */
  left: number
  right: number
}

/** An Int32Array that grows. */
class Ints {
  data = new Int32Array(1024)
  length = 0
  push(value: number): number {
    if (this.length === this.data.length) {
      const larger = new Int32Array(2 * this.length)
      larger.set(this.data)
      this.data = larger
    }
    this.data[this.length] = value
    return this.length++
  }
}

/**
 * @returns `tokens`: byte string (one Latin-1 character a byte) of every token, the 256 bytes first; `merges` in order
 *   of rank. Fewer tokens than wanted come back when no pair is left that occurs `minCount` times.
 */
export function trainBpe(
  counts: ReadonlyMap<string, number>,
  options: TrainBpeOptions
): { tokens: string[]; merges: Merge[] } {
  const tokens = Array.from({ length: 256 }, (_, b) => String.fromCharCode(b))
  const merges: Merge[] = []
  const reserved = new Set<string>()
  for (const token of options.reserved ?? []) {
    const bytes = unspell(token)
    if (bytes) reserved.add(Buffer.from(bytes).toString('latin1'))
  }

  // The words: symbols of word w are syms[from[w], from[w] + length[w]).
  const syms = new Ints()
  const from = new Ints()
  const length = new Ints()
  const weight: number[] = []
  for (const [word, count] of counts) {
    const bytes = Buffer.from(word)
    if (bytes.length < 2) continue
    from.push(syms.length)
    length.push(bytes.length)
    weight.push(count)
    for (const b of bytes) syms.push(b)
  }

  // The pairs: how often each occurs, and a linked list of the words it may occur in (a word may be listed twice, or in
  // vain).
  const pairs = new PairIndex(1 << 16)
  const count: number[] = []
  const head = new Ints()
  const listed = new Ints()
  const following = new Ints()
  let free = -1
  const list = (pair: number, word: number): void => {
    let node = free
    if (node < 0) {
      node = listed.push(word)
      following.push(head.data[pair]!)
    } else {
      free = following.data[node]!
      listed.data[node] = word
      following.data[node] = head.data[pair]!
    }
    head.data[pair] = node
  }
  const raised: number[] = []
  const raisedAt = new Ints()
  let step = 0
  const change = (a: number, b: number, word: number, by: number): void => {
    const pair = pairs.add(a, b)
    if (pair === count.length) {
      count.push(0)
      head.push(-1)
      raisedAt.push(-1)
    }
    count[pair]! += by
    if (by < 0) return
    // Repetitions inside one word follow each other: the list's newest entry shows them.
    const newest = head.data[pair]!
    if (newest < 0 || listed.data[newest] !== word) list(pair, word)
    if (raisedAt.data[pair] !== step) {
      raisedAt.data[pair] = step
      raised.push(pair)
    }
  }

  const heapPair = new Ints()
  const heapCount: number[] = []
  const before = (pairA: number, countA: number, pairB: number, countB: number): boolean => {
    if (countA !== countB) return countA > countB
    if (pairA === pairB) return false
    const leftA = tokens[pairs.left(pairA)]!
    const leftB = tokens[pairs.left(pairB)]!
    if (leftA !== leftB) return leftA < leftB
    return tokens[pairs.right(pairA)]! < tokens[pairs.right(pairB)]!
  }
  const push = (pair: number): void => {
    const c = count[pair]!
    let i = heapPair.push(pair)
    heapCount.push(c)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(pair, c, heapPair.data[parent]!, heapCount[parent]!)) break
      heapPair.data[i] = heapPair.data[parent]!
      heapCount[i] = heapCount[parent]!
      i = parent
    }
    heapPair.data[i] = pair
    heapCount[i] = c
  }
  const pop = (): void => {
    const n = --heapPair.length
    const pair = heapPair.data[n]!
    const c = heapCount.pop()!
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= n) break
      if (
        child + 1 < n &&
        before(heapPair.data[child + 1]!, heapCount[child + 1]!, heapPair.data[child]!, heapCount[child]!)
      )
        child++
      if (!before(heapPair.data[child]!, heapCount[child]!, pair, c)) break
      heapPair.data[i] = heapPair.data[child]!
      heapCount[i] = heapCount[child]!
      i = child
    }
    if (n > 0) {
      heapPair.data[i] = pair
      heapCount[i] = c
    }
  }

  for (let w = 0; w < weight.length; w++) {
    const start = from.data[w]!
    for (let i = start; i + 1 < start + length.data[w]!; i++) change(syms.data[i]!, syms.data[i + 1]!, w, weight[w]!)
  }
  for (const pair of raised) push(pair)

  const minCount = Math.max(1, options.minCount ?? 2)
  const known = new Map(tokens.map((t, id) => [t, id]))
  while (tokens.length < options.tokens && heapPair.length > 0) {
    const pair = heapPair.data[0]!
    const seen = heapCount[0]!
    pop()
    const now = count[pair]!
    if (now < minCount || now > seen) continue // too rare, or a newer entry stands for it
    if (now < seen) {
      push(pair)
      continue
    }
    const a = pairs.left(pair)
    const b = pairs.right(pair)
    const merged = tokens[a]! + tokens[b]!
    if (reserved.has(merged)) {
      count[pair] = 0
      continue
    }
    let id = known.get(merged)
    if (id === undefined) {
      id = tokens.push(merged) - 1
      known.set(merged, id)
    }
    merges.push({ left: a, right: b })
    step++
    raised.length = 0

    let last = head.data[pair]!
    for (let node = last; node >= 0; node = following.data[node]!) {
      last = node
      const w = listed.data[node]!
      const start = from.data[w]!
      const end = start + length.data[w]!
      const by = weight[w]!
      let o = start
      for (let i = start; i < end; i++) {
        if (syms.data[i] !== a || i + 1 >= end || syms.data[i + 1] !== b) {
          syms.data[o++] = syms.data[i]!
          continue
        }
        // The sequence is, at this moment, [start, o) already merged and [i, end) still to do.
        count[pair]! -= by
        if (o > start) {
          change(syms.data[o - 1]!, a, w, -by)
          change(syms.data[o - 1]!, id, w, by)
        }
        if (i + 2 < end) {
          change(b, syms.data[i + 2]!, w, -by)
          change(id, syms.data[i + 2]!, w, by)
        }
        syms.data[o++] = id
        i++
      }
      length.data[w] = o - start
    }
    if (last >= 0) {
      following.data[last] = free
      free = head.data[pair]!
      head.data[pair] = -1
    }
    for (const p of raised) if (count[p]! >= minCount) push(p)
    options.progress?.update(tokens.length)
  }
  return { tokens, merges }
}

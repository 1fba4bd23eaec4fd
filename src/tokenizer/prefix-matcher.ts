/**
 * Finds the longest of many strings at a position of a text: a trie over UTF-16 units, in time that depends on the
 * match and not on their number.
 */
import type { Steps } from '../lib/steps.ts'
import { PairIndex } from './pairs.ts'

/** UTF-16 units per step. */
const STEP = 4096

export interface Found {
  readonly index: number
  readonly id: number
}

export class PrefixMatcher {
  /** Child of (node, unit): the index of the pair plus one; the root is 0. */
  #children = new PairIndex()
  /** By node: the id of the string that ends there. */
  #ids = new Map<number, number>()
  /** By unit: 1 where a string begins with it. */
  #first = new Uint8Array(0x10000)
  readonly empty: boolean
  /** Units looked at since the last step ended. */
  #looked = 0

  /** @param entries strings (not empty) and their ids */
  constructor(entries: Iterable<readonly [string, number]>) {
    for (const [text, id] of entries) {
      let node = 0
      for (let i = 0; i < text.length; i++) node = this.#children.add(node, text.charCodeAt(i)) + 1
      this.#ids.set(node, id)
      this.#first[text.charCodeAt(0)] = 1
    }
    this.empty = this.#ids.size === 0
  }

  /**
   * Id of the longest string in `text` at `start`, or -1. @param unless UTF-16 unit: a string after it does not count
   */
  at(text: string, start: number, unless = -1): number {
    if (this.#first[text.charCodeAt(start)] !== 1) return -1
    let found = -1
    let i = start
    for (let node = 0; i < text.length; i++) {
      node = this.#children.get(node, text.charCodeAt(i)) + 1
      if (node === 0) break
      const id = this.#ids.get(node)
      if (id !== undefined && text.charCodeAt(i + 1) !== unless) found = id
    }
    this.#looked += i - start
    return found
  }

  /**
   * The first place, from `start` on, where one of the strings stands, and the longest there. @param unless as in `at`
   */
  *find(text: string, start: number, unless = -1): Steps<Found | undefined> {
    if (this.empty) return undefined
    for (let index = start; index < text.length; index++) {
      if (++this.#looked > STEP) {
        this.#looked = 0
        yield
      }
      const id = this.at(text, index, unless)
      if (id >= 0) return { index, id }
    }
    return undefined
  }
}

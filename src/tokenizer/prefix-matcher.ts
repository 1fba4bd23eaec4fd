/** Finds the longest of many strings that stands at a place of a text: a trie over UTF-16 units, in time that depends on the match and not on how many there are. */
import { PairIndex } from './pairs.ts'

export class PrefixMatcher {
  /** Child of (node, unit): the index of the pair plus one; the root is 0. */
  #children = new PairIndex()
  /** By node: the id of the string that ends there. */
  #ids = new Map<number, number>()
  #first = new Set<number>()

  /** @param entries strings (not empty) and their ids */
  constructor(entries: Iterable<readonly [string, number]>) {
    for (const [text, id] of entries) {
      let node = 0
      for (let i = 0; i < text.length; i++) node = this.#children.add(node, text.charCodeAt(i)) + 1
      this.#ids.set(node, id)
      this.#first.add(text.charCodeAt(0))
    }
  }

  get empty(): boolean {
    return this.#first.size === 0
  }

  /** Id of the longest string that `text` has at `start`, or -1. */
  at(text: string, start: number): number {
    if (!this.#first.has(text.charCodeAt(start))) return -1
    let found = -1
    for (let node = 0, i = start; i < text.length; i++) {
      node = this.#children.get(node, text.charCodeAt(i)) + 1
      if (node === 0) break
      found = this.#ids.get(node) ?? found
    }
    return found
  }
}

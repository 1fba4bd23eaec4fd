/**
 * Ids of recent words, in two generations: when the young one is full, it becomes the old one, and words unused since
 * are forgotten.
 */
import { detach } from './count.ts'

/** Words kept in each generation, and the longest word that is kept, in UTF-16 units. */
const WORDS = 32_768
export const CACHED_LENGTH = 64

export class WordCache {
  #young = new Map<string, readonly number[]>()
  #old = new Map<string, readonly number[]>()

  get(word: string): readonly number[] | undefined {
    const known = this.#young.get(word)
    if (known !== undefined) return known
    const old = this.#old.get(word)
    if (old !== undefined) this.set(word, old)
    return old
  }

  set(word: string, ids: readonly number[]): void {
    if (this.#young.size >= WORDS) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(detach(word), ids)
  }
}

/**
 * Whether prompts of token ids resemble text. In text a few tokens are very frequent: two picked at random agree in
 * about 1 of 100 cases or more. Uniform ids from a vocabulary of V agree in 1 of V cases.
 */
import { mix } from './sketch.ts'

/** Tokens looked at together, over as many prompts as it takes. */
export const windowTokens = 2048

export class TokenWindow {
  #hashes: Uint32Array | undefined
  #used = 0
  #salt: number

  constructor(salt: number) {
    this.#salt = salt
  }

  /** Returns the probability that two tokens of a window agree, for the last window completed by these ids. */
  add(ids: readonly number[]): number | undefined {
    this.#hashes ??= new Uint32Array(windowTokens)
    let chance: number | undefined
    for (const id of ids) {
      this.#hashes[this.#used++] = mix(id ^ this.#salt)
      if (this.#used === windowTokens) {
        chance = agreement(this.#hashes)
        this.#used = 0
      }
    }
    return chance
  }
}

function agreement(hashes: Uint32Array): number {
  const sorted = hashes.slice().sort()
  let pairs = 0
  let run = 0
  for (let i = 1; i < sorted.length; i++) {
    run = sorted[i] === sorted[i - 1] ? run + 1 : 0
    pairs += run
  }
  return pairs / ((sorted.length * (sorted.length - 1)) / 2)
}

/**
 * Stage 2 of the sampler: the token mask, a bit for each token of the vocabulary. A token whose bit is 0 is never
 * chosen. A grammar, for instance, sets one for each position. This file knows no grammar.
 */
import { invariant } from '../lib/errors.ts'

/**
 * Bit `id & 31` of word `id >> 5` is 1 where the token is allowed; [⌈vocab/32⌉]. Bits beyond the vocabulary mean
 * nothing.
 */
export type TokenMask = Uint32Array

/** Says which tokens may come next. */
export interface TokenConstraint {
  /**
   * The mask of the token after prompt and answer; undefined allows all. The result depends on the arguments alone: the
   * engine also asks about draft tokens, which it may drop later. The mask has to hold until the next call only.
   * @param promptTokens how many of `ids` are the prompt
   */
  maskAfter(ids: readonly number[], promptTokens: number): TokenMask | undefined
}

/** A mask that allows these tokens alone. */
export function maskOf(vocab: number, allowed: Iterable<number>): TokenMask {
  const mask = new Uint32Array(wordsOf(vocab))
  for (const id of allowed) {
    invariant(Number.isInteger(id) && id >= 0 && id < vocab, `token ${id} of a mask is in the vocabulary`)
    mask[id >> 5]! |= 1 << (id & 31)
  }
  return mask
}

export const allows = (mask: TokenMask, id: number): boolean => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1

/** Sets the scores of masked tokens to -∞. At least one token must be allowed. */
export function applyMask(scores: Float32Array | Float64Array, mask: TokenMask): void {
  checkSize(mask, scores.length)
  let any = false
  for (let word = 0, from = 0; from < scores.length; word++, from += 32) {
    const bits = mask[word]!
    const until = Math.min(from + 32, scores.length)
    if (bits === 0) scores.fill(-Infinity, from, until)
    else {
      for (let id = from; id < until; id++) {
        if (((bits >>> (id & 31)) & 1) === 0) scores[id] = -Infinity
        else any = true
      }
    }
  }
  invariant(any, 'a token mask allows a token')
}

/** How many tokens of the vocabulary the mask excludes. */
export function excludedBy(mask: TokenMask, vocab: number): number {
  checkSize(mask, vocab)
  let allowed = 0
  for (let word = 0; word < mask.length; word++) {
    const last = word === mask.length - 1 && (vocab & 31) !== 0
    for (let bits = last ? mask[word]! & (2 ** (vocab & 31) - 1) : mask[word]!; bits !== 0; bits &= bits - 1) allowed++
  }
  return vocab - allowed
}

const wordsOf = (vocab: number): number => Math.ceil(vocab / 32)

function checkSize(mask: TokenMask, vocab: number): void {
  invariant(mask.length === wordsOf(vocab), `a mask of ${mask.length} words has a bit for each of ${vocab} tokens`)
}

/** Input of an evaluation: tokens, and the number of bytes that they represent. */
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'

/** Tokens by position: a split of a dataset, or an encoded text. */
export interface TokenSource {
  /** Tokens in all. */
  readonly length: number
  /** Copies `count` existing tokens from position `start` into `out` at `offset` (default 0). */
  read(start: number, count: number, out: Int32Array, offset?: number): void
}

/** A source over ids in memory. */
export function tokensInMemory(ids: Int32Array): TokenSource {
  return {
    length: ids.length,
    read: (start, count, out, offset = 0) => out.set(ids.subarray(start, start + count), offset)
  }
}

/** Bytes of text that a token stands for; special tokens stand for none. */
export const bytesOf =
  (tokenizer: TextTokenizer) =>
  (id: number): number =>
    tokenizer.isSpecial(id) ? 0 : tokenizer.tokenBytes(id).length

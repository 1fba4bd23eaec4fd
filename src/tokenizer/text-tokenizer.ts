/**
 * The tokenizer interface for engine and evaluation: `Tokenizer` (byte-level BPE, characters) or
 * `SentencePieceTokenizer`.
 */
import type { Steps } from '../lib/steps.ts'
import type { DecodeStream } from './decode-stream.ts'

/** Encodes a text that arrives in pieces. */
export interface EncodeStream {
  /** Takes a piece and returns the ids that are now certain. */
  push(piece: string): Int32Array<ArrayBuffer>
  /** Ends the text and returns the remaining ids. The stream can then take another text. */
  end(): Int32Array<ArrayBuffer>
}

/** Text to token ids and back. Every tokenizer that Verit reads has this interface. */
export interface TextTokenizer {
  /** SHA-256 of all its parts (`sha256:` and 64 hexadecimal digits): the tokenizer's identity. */
  readonly digest: string
  /** Number of tokens, special ones included. Ids are 0 to vocabSize - 1. */
  readonly vocabSize: number
  /** Special (control) tokens and their ids. */
  readonly specials: ReadonlyMap<string, number>
  /** Ids of the places without a token, ascending: no text encodes to them, and no answer holds them. */
  readonly unused: Int32Array
  /** Id of the token that ends a text, or undefined. */
  readonly endOfText: number | undefined
  /** Id of the token that begins a text, or undefined. */
  readonly beginOfText: number | undefined
  /** Whether prompts begin with `beginOfText`. Chat templates write it themselves. */
  readonly addsBegin: boolean
  /**
   * Bytes of a token inside a decoded text; of a special token, its name in UTF-8. The caller must not change them.
   * @throws VERIT_TOKEN_ID
   */
  tokenBytes(id: number): Uint8Array
  /** Spelling of a token in the vocabulary ("Ġthe", "▁the", "<|endoftext|>"). @throws VERIT_TOKEN_ID */
  token(id: number): string
  /** Id of a token by its spelling in the vocabulary, or undefined. */
  tokenId(token: string): number | undefined
  /** Whether a token is special: a name that text cannot spell. @throws VERIT_TOKEN_ID */
  isSpecial(id: number): boolean
  /**
   * Encodes a text; nothing is put before or after it. Lone surrogates become U+FFFD, as in TextEncoder.
   * @param options.allowSpecial special tokens written out in the text become their ids. Default false: they are plain
   *   text.
   */
  encode(text: string, options?: { allowSpecial?: boolean }): Int32Array<ArrayBuffer>
  /**
   * `encode` in steps, for a thread that serves others meanwhile: the same ids, or undefined if there would be more
   * than `limit`, found without encoding the rest of the text.
   * @param limit ids. Default: no limit
   */
  encoding(text: string, limit?: number): Steps<Int32Array<ArrayBuffer> | undefined>
  /**
   * UTF-8 bytes of the longest text that `tokens` ids can stand for: a longer one need not be encoded. Infinity where
   * an id may stand for any number of characters.
   */
  mostBytes(tokens: number): number
  /**
   * Encodes a text that arrives in pieces, in bounded memory and to the same ids (unless a word is longer than 2^20
   * UTF-16 units). Special tokens are plain text here.
   */
  encodeStream(): EncodeStream
  /**
   * Decodes ids. Bytes that are not UTF-8 become U+FFFD.
   * @param options.skipSpecial special tokens give no text. Default false: they give their names.
   */
  decode(ids: ArrayLike<number>, options?: { skipSpecial?: boolean }): string
  /** Decodes token by token without ever emitting half a character. Options as in `decode`. */
  decodeStream(options?: { skipSpecial?: boolean }): DecodeStream
}

/**
 * A byte-level BPE or character tokenizer: text to token ids and back. For BPE, `decode(encode(s)) === s` for every well-formed
 * string, and encoding takes time in proportion to the text (times the logarithm of its longest word). Special tokens in the text
 * are plain text unless the caller allows them, so that nobody can forge the end of a turn by typing it.
 */
import { createHash } from 'node:crypto'
import { invariant, VeritError } from '../lib/errors.ts'
import { DecodeStream } from './decode-stream.ts'
import { IdList } from './id-list.ts'
import { partsFromJson, partsToJson } from './json.ts'
import { WordMerger } from './merge.ts'
import { checkParts, CONTROL, MAX_TOKEN_LENGTH, NORMAL, USER_DEFINED } from './parts.ts'
import type { CheckedParts, TokenizerParts } from './parts.ts'
import { pretokenizer } from './pretokenizer.ts'
import type { Pretokenizer, PretokenizerName } from './pretokenizer.ts'
import { byteSpelling, spell } from './bytes.ts'
import type { EncodeStream, TextTokenizer } from './text-tokenizer.ts'
import { CACHED_LENGTH, WordCache } from './word-cache.ts'
import { WordStream } from './words.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export class Tokenizer implements TextTokenizer {
  #parts: CheckedParts
  #pretokenizer: Pretokenizer
  #merger: WordMerger
  /** Token id of each byte; empty for characters. */
  #byteId = new Int32Array(0)
  #always: RegExp | undefined
  #allowed: RegExp | undefined
  #cache = new WordCache()
  #scratch = new Int32Array(64)
  #bytes = new Uint8Array(192)
  #digest: string | undefined

  private constructor(parts: CheckedParts) {
    this.#parts = parts
    this.#pretokenizer = pretokenizer(parts.pretokenizer)!
    this.#merger = new WordMerger(parts.pairs, parts.results)
    if (this.kind === 'bpe') this.#byteId = Int32Array.from(byteSpelling, s => parts.ids.get(s)!)
    const matcher = (types: number[]): RegExp | undefined => {
      const tokens = parts.tokens.filter((_, id) => types.includes(parts.tokenTypes[id]!))
      // The longest first: alternatives are tried in order.
      tokens.sort((a, b) => b.length - a.length)
      return tokens.length === 0 ? undefined : new RegExp(tokens.map(t => RegExp.escape(t)).join('|'), 'g')
    }
    this.#always = matcher([USER_DEFINED])
    this.#allowed = matcher([CONTROL, USER_DEFINED])
  }

  /**
   * Makes a tokenizer from its parts, which are checked.
   * @param source what errors name. Default "the tokenizer".
   */
  static fromParts(parts: TokenizerParts, source = 'the tokenizer'): Tokenizer {
    return new Tokenizer(checkParts(parts, source))
  }

  /** Reads the text of a tokenizer.json. @param source what errors name. */
  static fromJSON(text: string, source = 'tokenizer.json'): Tokenizer {
    return Tokenizer.fromParts(partsFromJson(text, source), source)
  }

  /** The canonical text of tokenizer.json. */
  toJSON(): string {
    return partsToJson(this.toParts())
  }

  /** The parts, as GGUF stores them; `fromParts` gives back an equal tokenizer. */
  toParts(): TokenizerParts & { pretokenizer: PretokenizerName } {
    const { tokens, tokenTypes, pairs, endOfText, beginOfText, addsBegin, pretokenizer } = this.#parts
    const merges = Array.from({ length: pairs.size }, (_, rank) => `${tokens[pairs.left(rank)]} ${tokens[pairs.right(rank)]}`)
    return { tokens, tokenTypes, merges, endOfText, beginOfText, addsBegin, pretokenizer }
  }

  /** SHA-256 of the canonical tokenizer.json (`sha256:` and 64 hexadecimal digits): the tokenizer's identity. */
  get digest(): string {
    return this.#digest ??= `sha256:${createHash('sha256').update(this.toJSON()).digest('hex')}`
  }

  get kind(): 'bpe' | 'character' {
    return this.#parts.pretokenizer === 'character' ? 'character' : 'bpe'
  }

  /** Number of tokens, special ones included. Ids are 0 to vocabSize - 1. */
  get vocabSize(): number {
    return this.#parts.tokens.length
  }

  /** Special (control) tokens and their ids. */
  get specials(): ReadonlyMap<string, number> {
    return new Map(this.#parts.tokens.map((t, id) => [t, id] as const).filter(([, id]) => this.#parts.tokenTypes[id] === CONTROL))
  }

  /** Id of the token that ends (and begins) a text, or undefined when there is none. */
  get endOfText(): number | undefined {
    return this.#parts.endOfText
  }

  /** Id of the token that stands before a text: `endOfText` where the file names no other. */
  get beginOfText(): number | undefined {
    return this.#parts.beginOfText
  }

  /** Whether a text that is to be continued gets `beginOfText` in front. */
  get addsBegin(): boolean {
    return this.#parts.addsBegin
  }

  /** Bytes of a token: what it adds to a decoded text; of a special token, its name in UTF-8. The caller must not change them. */
  tokenBytes(id: number): Uint8Array {
    const bytes = this.#parts.bytes.at(id)
    if (bytes === undefined) throw new VeritError('VERIT_TOKEN_ID', { id, vocabSize: this.vocabSize })
    return bytes
  }

  /** Spelling of a token in the vocabulary. */
  token(id: number): string {
    const token = this.#parts.tokens[id]
    if (token === undefined) throw new VeritError('VERIT_TOKEN_ID', { id, vocabSize: this.vocabSize })
    return token
  }

  /** Id of a token by its spelling ("Ġthe", "<|endoftext|>"), or undefined. */
  tokenId(token: string): number | undefined {
    return this.#parts.ids.get(token)
  }

  isSpecial(id: number): boolean {
    return this.#parts.tokenTypes[id] === CONTROL
  }

  /**
   * Encodes a text. Lone surrogates become U+FFFD, as in TextEncoder. A character tokenizer throws VERIT_TOKENIZER_CHARACTER on a
   * character it does not have.
   * @param options.allowSpecial special tokens written out in the text become their ids. Default false: they are plain text.
   */
  encode(text: string, options: { allowSpecial?: boolean } = {}): Int32Array<ArrayBuffer> {
    const ids = new IdList(text.length >> 1)
    const specials = options.allowSpecial === true ? this.#allowed : this.#always
    let from = 0
    if (specials) {
      for (const match of text.matchAll(specials)) {
        this.#encodePlain(text.slice(from, match.index), ids)
        ids.push([this.#parts.ids.get(match[0])!], 1)
        from = match.index + match[0].length
      }
    }
    this.#encodePlain(from === 0 ? text : text.slice(from), ids)
    return ids.take()
  }

  /**
   * Encodes a text that arrives in pieces, in bounded memory and to the same ids as in one piece (unless a word is longer than 2^20
   * UTF-16 units). Special and added tokens are plain text here.
   */
  encodeStream(): EncodeStream {
    let ids = new IdList(0)
    const words = new WordStream(this.#pretokenizer, (text, start, end) => this.#encodeWord(text, start, end, ids))
    const take = (): Int32Array<ArrayBuffer> => {
      const taken = ids.take()
      ids = new IdList(taken.length)
      return taken
    }
    return {
      push: piece => {
        words.push(piece)
        return take()
      },
      end: () => {
        words.end()
        return take()
      },
    }
  }

  #encodePlain(text: string, ids: IdList): void {
    for (let start = 0; start < text.length;) {
      const end = this.#pretokenizer.wordEnd(text, start)
      this.#encodeWord(text, start, end, ids)
      start = end
    }
  }

  #encodeWord(text: string, start: number, end: number, ids: IdList): void {
    const word = text.slice(start, end)
    let known = this.#cache.get(word)
    if (known === undefined) {
      if (this.kind === 'character') known = [this.#character(word)]
      else {
        const n = this.#mergeWord(word)
        if (word.length > CACHED_LENGTH) {
          ids.push(this.#scratch, n)
          if (this.#scratch.length > 1 << 16) {
            this.#scratch = new Int32Array(64)
            this.#bytes = new Uint8Array(192)
          }
          return
        }
        known = Array.from(this.#scratch.subarray(0, n))
      }
      this.#cache.set(word, known)
    }
    ids.push(known, known.length)
  }

  /** Merges a word into `#scratch` and returns the number of ids. */
  #mergeWord(word: string): number {
    if (this.#bytes.length < 3 * word.length) {
      this.#bytes = new Uint8Array(3 * word.length)
      this.#scratch = new Int32Array(3 * word.length)
    } else if (this.#scratch.length < this.#bytes.length) this.#scratch = new Int32Array(this.#bytes.length)
    const { written } = encoder.encodeInto(word, this.#bytes)
    if (this.#pretokenizer.ignoreMerges && written <= MAX_TOKEN_LENGTH) {
      const id = this.#parts.ids.get(spell(this.#bytes.subarray(0, written)))
      if (id !== undefined && this.#parts.tokenTypes[id] === NORMAL) {
        this.#scratch[0] = id
        return 1
      }
    }
    for (let i = 0; i < written; i++) this.#scratch[i] = this.#byteId[this.#bytes[i]!]!
    return this.#merger.merge(this.#scratch, written)
  }

  #character(character: string): number {
    const id = this.#parts.ids.get(spell(encoder.encode(character)))
    if (id === undefined || this.#parts.tokenTypes[id] !== NORMAL) throw new VeritError('VERIT_TOKENIZER_CHARACTER', { character })
    return id
  }

  /**
   * Decodes ids. Bytes that are not UTF-8 become U+FFFD.
   * @param options.skipSpecial special tokens give no text. Default false: they give their names.
   */
  decode(ids: ArrayLike<number>, options: { skipSpecial?: boolean } = {}): string {
    const skip = options.skipSpecial === true
    let length = 0
    for (let i = 0; i < ids.length; i++) {
      const bytes = this.tokenBytes(ids[i]!)
      if (!(skip && this.isSpecial(ids[i]!))) length += bytes.length
    }
    const all = new Uint8Array(length)
    let at = 0
    for (let i = 0; i < ids.length; i++) {
      if (skip && this.isSpecial(ids[i]!)) continue
      const bytes = this.#parts.bytes.at(ids[i]!)!
      all.set(bytes, at)
      at += bytes.length
    }
    invariant(at === length, 'decoded length')
    return decoder.decode(all)
  }

  /** Decodes token by token without ever emitting half a character. Options as in `decode`. */
  decodeStream(options: { skipSpecial?: boolean } = {}): DecodeStream {
    const skip = options.skipSpecial === true
    return new DecodeStream(id => this.tokenBytes(id), id => skip && this.isSpecial(id))
  }
}

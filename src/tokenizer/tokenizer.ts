/**
 * A byte-level BPE or character tokenizer: text to token ids and back. For BPE, `decode(encode(s)) === s` for every
 * well-formed string that the vocabulary has the bytes of, and encoding takes time in proportion to the text (times the
 * logarithm of its longest word). Special tokens in the text are plain text unless the caller allows them, so that
 * nobody can forge the end of a turn by typing it.
 */
import { createHash } from 'node:crypto'
import { invariant, VeritError } from '../lib/errors.ts'
import { finish } from '../lib/steps.ts'
import type { Steps } from '../lib/steps.ts'
import { DecodeStream } from './decode-stream.ts'
import { IdList } from './id-list.ts'
import { partsFromJson, partsToJson } from './json.ts'
import { WordMerger } from './merge.ts'
import { checkParts, CONTROL, MAX_TOKEN_LENGTH, NORMAL, UNUSED, USER_DEFINED } from './parts.ts'
import type { CheckedParts, TokenizerParts } from './parts.ts'
import { PrefixMatcher } from './prefix-matcher.ts'
import { pretokenizer } from './pretokenizer.ts'
import type { Pretokenizer, PretokenizerName } from './pretokenizer.ts'
import { byteSpelling, spell } from './bytes.ts'
import type { EncodeStream, TextTokenizer } from './text-tokenizer.ts'
import { CACHED_LENGTH, WordCache } from './word-cache.ts'
import { WordStream } from './words.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * UTF-16 units of text, in words up to that length, per step: at most 1.5 µs each. Longer words are merged in steps of
 * their own.
 */
const STEP = 512

/** A byte-level BPE or character tokenizer in the format of Hugging Face's tokenizer.json. */
export class Tokenizer implements TextTokenizer {
  readonly unused: Int32Array
  #parts: CheckedParts
  #pretokenizer: Pretokenizer
  #merger: WordMerger
  /** Token id of each byte, -1 where it has none; empty for characters. */
  #byteId = new Int32Array(0)
  /** Added tokens, which any text is searched for, and these together with special ones. */
  #always: PrefixMatcher
  #allowed: PrefixMatcher
  /** Bytes of the longest token that plain text can become. */
  #longest = 0
  #cache = new WordCache()
  #scratch = new Int32Array(3 * STEP)
  #bytes = new Uint8Array(3 * STEP)
  #digest: string | undefined

  private constructor(parts: CheckedParts) {
    this.#parts = parts
    this.#pretokenizer = pretokenizer(parts.pretokenizer)!
    this.#merger = new WordMerger(parts.pairs, parts.results)
    if (this.kind === 'bpe') this.#byteId = Int32Array.from(byteSpelling, s => normalId(parts, s))
    const { tokens, tokenTypes, ids, bytes } = parts
    const unused: number[] = []
    const always: [string, number][] = []
    const allowed: [string, number][] = []
    for (let id = 0; id < tokens.length; id++) {
      const type = tokenTypes[id]!
      if (type !== CONTROL) this.#longest = Math.max(this.#longest, bytes.length(id))
      if (type === NORMAL) continue
      if (type === UNUSED) unused.push(id)
      else if (ids.get(tokens[id]!) === id) {
        allowed.push([tokens[id]!, id])
        if (type === USER_DEFINED) always.push([tokens[id]!, id])
      }
    }
    this.unused = Int32Array.from(unused)
    this.#always = new PrefixMatcher(always)
    this.#allowed = new PrefixMatcher(allowed)
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

  /** The parts, as GGUF stores them; `fromParts` restores an equal tokenizer. */
  toParts(): TokenizerParts & { pretokenizer: PretokenizerName } {
    const { tokens, tokenTypes, pairs, endOfText, beginOfText, addsBegin, addsEnd, pretokenizer } = this.#parts
    const merges = Array.from(
      { length: pairs.size },
      (_, rank) => `${tokens[pairs.left(rank)]} ${tokens[pairs.right(rank)]}`
    )
    return { tokens, tokenTypes, merges, endOfText, beginOfText, addsBegin, addsEnd, pretokenizer }
  }

  /** SHA-256 of the canonical tokenizer.json (`sha256:` and 64 hexadecimal digits): the tokenizer's identity. */
  get digest(): string {
    return (this.#digest ??= `sha256:${createHash('sha256').update(this.toJSON()).digest('hex')}`)
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
    const { tokens, tokenTypes, ids } = this.#parts
    const found = new Map<string, number>()
    for (let id = 0; id < tokens.length; id++)
      if (tokenTypes[id] === CONTROL && ids.get(tokens[id]!) === id) found.set(tokens[id]!, id)
    return found
  }

  /** Id of the token that ends (and begins) a text, or undefined. */
  get endOfText(): number | undefined {
    return this.#parts.endOfText
  }

  /** Id of the token that stands before a text: `endOfText` where the file names no other. */
  get beginOfText(): number | undefined {
    return this.#parts.beginOfText
  }

  /** Whether prompts begin with `beginOfText`. */
  get addsBegin(): boolean {
    return this.#parts.addsBegin
  }

  /** Bytes of a token in a decoded text; of a special token, its name in UTF-8. The caller must not change them. */
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

  /** Whether a token is special: a name that text cannot spell. @throws VERIT_TOKEN_ID */
  isSpecial(id: number): boolean {
    return this.#parts.tokenTypes[id] === CONTROL
  }

  /**
   * Encodes a text. Lone surrogates become U+FFFD, as in TextEncoder. A character tokenizer throws
   * VERIT_TOKENIZER_CHARACTER on a character it does not have.
   * @param options.allowSpecial special tokens written out in the text become their ids. Default false: they are plain
   *   text.
   */
  encode(text: string, options: { allowSpecial?: boolean } = {}): Int32Array<ArrayBuffer> {
    return finish(this.#encoding(text, options.allowSpecial === true ? this.#allowed : this.#always, Infinity))!
  }

  encoding(text: string, limit = Infinity): Steps<Int32Array<ArrayBuffer> | undefined> {
    return this.#encoding(text, this.#always, limit)
  }

  /** Each id has its own bytes, and shares none. */
  mostBytes(tokens: number): number {
    return tokens * this.#longest
  }

  *#encoding(text: string, added: PrefixMatcher, limit: number): Steps<Int32Array<ArrayBuffer> | undefined> {
    const ids = new IdList(Math.min(text.length >> 1, limit))
    for (let from = 0; from < text.length;) {
      const found = yield* added.find(text, from)
      if (!(yield* this.#encodePlain(text.slice(from, found?.index), ids, limit))) return undefined
      if (found === undefined) break
      ids.add(found.id)
      from = found.index + this.#parts.tokens[found.id]!.length
    }
    return ids.length > limit ? undefined : ids.take()
  }

  /**
   * Encodes a text that arrives in pieces, in bounded memory and to the same ids as in one piece (unless a word is
   * longer than 2^20 UTF-16 units). Special and added tokens are plain text here.
   */
  encodeStream(): EncodeStream {
    let ids = new IdList(0)
    const words = new WordStream(this.#pretokenizer, (text, start, end) => {
      const word = text.slice(start, end)
      if (word.length > STEP) finish(this.#encodeLong(word, ids, Infinity))
      else this.#encodeShort(word, ids)
    })
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
      }
    }
  }

  /** Says whether the ids are still within the limit. */
  *#encodePlain(text: string, ids: IdList, limit: number): Steps<boolean> {
    for (let start = 0, due = STEP; start < text.length && ids.length <= limit;) {
      const end = this.#pretokenizer.wordEnd(text, start)
      if (end - start > STEP) yield* this.#encodeLong(text.slice(start, end), ids, limit)
      else this.#encodeShort(text.slice(start, end), ids)
      start = end
      if (start >= due) {
        due = start + STEP
        yield
      }
    }
    return ids.length <= limit
  }

  #encodeShort(word: string, ids: IdList): void {
    let known = this.#cache.get(word)
    if (known === undefined) {
      if (this.kind === 'character') known = [this.#character(word)]
      else {
        const n = this.#merge(this.#scratch, this.#bytes, encoder.encodeInto(word, this.#bytes).written)
        if (word.length > CACHED_LENGTH) return ids.push(this.#scratch, n)
        known = Array.from(this.#scratch.subarray(0, n))
      }
      this.#cache.set(word, known)
    }
    ids.push(known, known.length)
  }

  /** Merges the word of these bytes into `symbols` and returns the number of ids. */
  #merge(symbols: Int32Array, bytes: Uint8Array, length: number): number {
    const whole = this.#wholeWord(bytes, length)
    if (whole >= 0) {
      symbols[0] = whole
      return 1
    }
    for (let i = 0; i < length; i++) symbols[i] = this.#symbol(bytes, i)
    return this.#merger.merge(symbols, length)
  }

  *#encodeLong(word: string, ids: IdList, limit: number): Steps<void> {
    yield
    const bytes = encoder.encode(word)
    const whole = this.#wholeWord(bytes, bytes.length)
    if (whole >= 0) return ids.add(whole)
    const symbols = new Int32Array(bytes.length)
    for (let i = 0; i < bytes.length; i++) {
      symbols[i] = this.#symbol(bytes, i)
      if (i % (16 * STEP) === 0) yield
    }
    ids.pushUpTo(limit, symbols, yield* this.#merger.merging(symbols, bytes.length))
  }

  /**
   * The id of a byte of a word. @throws VERIT_TOKENIZER_CHARACTER naming the character, where the vocabulary lacks it
   */
  #symbol(bytes: Uint8Array, i: number): number {
    const id = this.#byteId[bytes[i]!]!
    if (id < 0) throw new VeritError('VERIT_TOKENIZER_CHARACTER', { character: characterAt(bytes, i) })
    return id
  }

  /** The id of a word that is not merged since it is a token, or -1. */
  #wholeWord(bytes: Uint8Array, length: number): number {
    if (!this.#pretokenizer.ignoreMerges || length > MAX_TOKEN_LENGTH) return -1
    return normalId(this.#parts, spell(bytes.subarray(0, length)))
  }

  #character(character: string): number {
    const id = normalId(this.#parts, spell(encoder.encode(character)))
    if (id < 0) throw new VeritError('VERIT_TOKENIZER_CHARACTER', { character })
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
    return new DecodeStream(
      id => this.tokenBytes(id),
      id => skip && this.isSpecial(id)
    )
  }
}

/** Id of a normal token by its spelling, or -1. */
function normalId({ ids, tokenTypes }: CheckedParts, spelling: string): number {
  const id = ids.get(spelling)
  return id !== undefined && tokenTypes[id] === NORMAL ? id : -1
}

/** The character that stands for a byte of UTF-8. */
function characterAt(bytes: Uint8Array, i: number): string {
  while ((bytes[i]! & 0xc0) === 0x80) i--
  return String.fromCodePoint(decoder.decode(bytes.subarray(i, i + 4)).codePointAt(0)!)
}

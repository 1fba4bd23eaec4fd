/**
 * A SentencePiece tokenizer: BPE over characters in which the piece of highest score is merged first (the leftmost of
 * equals), spaces are ordinary characters (U+2581), and text without a piece becomes bytes or one unknown piece. Its
 * ids are those of google/sentencepiece 0.2 for the same file, in O(n log n). Intended differences: control pieces are
 * matched on request only, one that is a single character never comes from plain text, and invalid UTF-8 is decoded as
 * the WHATWG Encoding Standard says.
 */
import { createHash } from 'node:crypto'
import { invariant, VeritError } from '../lib/errors.ts'
import { finish, inPieces } from '../lib/steps.ts'
import type { Steps } from '../lib/steps.ts'
import { replaceUnit } from '../lib/utf8.ts'
import { DecodeStream } from './decode-stream.ts'
import { IdList } from './id-list.ts'
import { WordMerger } from './merge.ts'
import type { OnPair } from './merge.ts'
import { CONTROL, NORMAL, UNUSED, USER_DEFINED } from './parts.ts'
import { PrefixMatcher } from './prefix-matcher.ts'
import { pairsOf } from './sentencepiece-pairs.ts'
import type { SentencePiecePairs } from './sentencepiece-pairs.ts'
import { BYTE, byteOfPiece, partsFaults, SPACE_MARK } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'
import { SentencePieceStream } from './sentencepiece-stream.ts'
import { SentencePieceWords } from './sentencepiece-words.ts'
import type { EncodeStream, TextTokenizer } from './text-tokenizer.ts'
import { TokenIds } from './token-ids.ts'
import { CACHED_LENGTH, WordCache } from './word-cache.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

const MARK = SPACE_MARK.charCodeAt(0)
/**
 * UTF-16 units of text, in words up to that length, per step: at most 2 µs each. Longer words are merged in steps of
 * their own.
 */
const STEP = 512
/** Symbols of a merged word per step. */
const SYMBOLS = 2048

export class SentencePieceTokenizer implements TextTokenizer {
  readonly specials: ReadonlyMap<string, number>
  readonly unused: Int32Array
  #parts: SentencePieceParts
  #ids: TokenIds
  #byteIds = new Int32Array(256)
  /** UTF-8 bytes of the pieces requested so far. */
  #bytes: Uint8Array[] = []
  #pairs: SentencePiecePairs
  #merger: WordMerger
  #control: PrefixMatcher
  #always: PrefixMatcher
  #words: SentencePieceWords
  /** By unused piece: the last pair that could have made it. Undefined if there are no such pieces. */
  #unmade: Int32Array | undefined
  /**
   * UTF-8 bytes of the longest piece that text can become; Infinity where one may stand for any number of characters.
   */
  #longest: number
  #cache = new WordCache()
  #symbols = new IdList(STEP)

  /** @throws VERIT_TOKENIZER_FILE. @param source name in errors */
  constructor(parts: SentencePieceParts, source = 'the tokenizer') {
    for (const { problem } of partsFaults(parts)) throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
    const { pieces, types } = parts
    this.#parts = parts
    this.#ids = new TokenIds(pieces)
    const unused: number[] = []
    const control: [string, number][] = []
    const always: [string, number][] = []
    for (let id = 0; id < pieces.length; id++) {
      const type = types[id]!
      if (type === UNUSED) unused.push(id)
      if (type === NORMAL || this.#ids.get(pieces[id]!) !== id) continue // of pieces spelled alike, the first counts
      if (type === BYTE) this.#byteIds[byteOfPiece(pieces[id]!)] = id
      else if (type === CONTROL) control.push([pieces[id]!, id])
      else if (type === USER_DEFINED) always.push([pieces[id]!, id])
    }
    this.specials = new Map(control)
    this.unused = Int32Array.from(unused)
    this.#control = new PrefixMatcher(control)
    this.#always = new PrefixMatcher(always)
    this.#pairs = pairsOf(parts, this.#ids, source)
    // Most unused pieces only fill places: where no merge makes one, texts can be cut, and nothing needs to be taken
    // apart again.
    const made = this.#pairs.results.some(id => types[id] === UNUSED)
    this.#words = new SentencePieceWords(parts, made)
    this.#unmade = made ? new Int32Array(pieces.length) : undefined
    this.#longest = longestOf(parts)
    this.#merger = new WordMerger(this.#pairs.pairs, this.#pairs.results, this.#pairs.ranks)
  }

  get digest(): string {
    const { scores, types, merges, ...rest } = this.#parts
    const names = Object.entries({
      ...rest,
      ...(merges !== undefined && { merges }),
      scores: Array.from(scores),
      types: Array.from(types)
    }).sort(([a], [b]) => (a < b ? -1 : 1))
    return `sha256:${createHash('sha256')
      .update(JSON.stringify(['sentencepiece-bpe', names]))
      .digest('hex')}`
  }

  /** The parts that it was made of. */
  toParts(): SentencePieceParts {
    return this.#parts
  }

  get vocabSize(): number {
    return this.#parts.pieces.length
  }

  get endOfText(): number | undefined {
    return this.#parts.endOfText
  }

  get beginOfText(): number | undefined {
    return this.#parts.beginOfText
  }

  get addsBegin(): boolean {
    return this.#parts.addsBegin
  }

  tokenBytes(id: number): Uint8Array {
    return (this.#bytes[id] ??= pieceBytes(this.#parts, this.token(id), id))
  }

  token(id: number): string {
    const piece = this.#parts.pieces[id]
    if (piece === undefined) throw new VeritError('VERIT_TOKEN_ID', { id, vocabSize: this.vocabSize })
    return piece
  }

  tokenId(token: string): number | undefined {
    return this.#ids.get(token)
  }

  isSpecial(id: number): boolean {
    return this.#parts.types[id] === CONTROL
  }

  /**
   * Encodes a text. With `allowSpecial`, the text after a control piece begins anew, with a space before it where the
   * file asks for one, as in llama.cpp.
   */
  encode(text: string, options: { allowSpecial?: boolean } = {}): Int32Array<ArrayBuffer> {
    return finish(this.#encoding(text, options.allowSpecial === true ? this.#control : NONE, Infinity))!
  }

  encoding(text: string, limit = Infinity): Steps<Int32Array<ArrayBuffer> | undefined> {
    return this.#encoding(text, NONE, limit)
  }

  mostBytes(tokens: number): number {
    return tokens * this.#longest
  }

  *#encoding(text: string, special: PrefixMatcher, limit: number): Steps<Int32Array<ArrayBuffer> | undefined> {
    const ids = new IdList(Math.min(text.length >> 1, limit))
    for (let from = 0, found; ;) {
      found = yield* special.find(text, from)
      if (!(yield* this.#encodePlain(text.slice(from, found?.index), true, true, ids, limit))) return undefined
      if (found === undefined) return ids.take()
      ids.add(found.id)
      from = found.index + this.#parts.pieces[found.id]!.length
    }
  }

  encodeStream(): EncodeStream {
    let last = -1
    return new SentencePieceStream(this.#words.atSpaces, (text, first, end) => {
      const ids = new IdList(text.length >> 1)
      finish(this.#encodePlain(text, first, end, ids, Infinity))
      let all = ids.take()
      if (!first && last === this.#parts.unknown && all[0] === last && !this.#parts.byteFallback) all = all.slice(1)
      last = all.at(-1) ?? last
      return all
    })
  }

  decode(ids: ArrayLike<number>, options: { skipSpecial?: boolean } = {}): string {
    const skip = options.skipSpecial === true
    const bytesOf = this.#decoding(skip)
    const parts: Uint8Array[] = []
    for (let i = 0; i < ids.length; i++) {
      const bytes = bytesOf(ids[i]!)
      if (!(skip && this.isSpecial(ids[i]!))) parts.push(bytes)
    }
    return decoder.decode(Buffer.concat(parts))
  }

  decodeStream(options: { skipSpecial?: boolean } = {}): DecodeStream {
    const skip = options.skipSpecial === true
    return new DecodeStream(this.#decoding(skip), id => skip && this.isSpecial(id))
  }

  /** Bytes of the tokens of one text, in order: the space that encoding puts before a text goes again. */
  #decoding(skip: boolean): (id: number) => Uint8Array {
    const { addDummyPrefix, removeExtraWhitespaces, types } = this.#parts
    let begins = addDummyPrefix || removeExtraWhitespaces
    return id => {
      const bytes = this.tokenBytes(id)
      if (!begins || (skip && this.isSpecial(id))) return bytes
      const spaced = isText(types[id]!) && this.#parts.pieces[id]!.startsWith(SPACE_MARK)
      // A file that removes spaces loses all of those that come first, one a piece.
      begins = bytes.length === 0 || (removeExtraWhitespaces && spaced && bytes.length === 1)
      return spaced ? bytes.subarray(1) : bytes
    }
  }

  /**
   * Encodes a text, or a part of one that begins and ends where no merge crosses. Says whether the ids are still within
   * the limit.
   */
  *#encodePlain(text: string, first: boolean, last: boolean, ids: IdList, limit: number): Steps<boolean> {
    const normal = yield* this.#normalize(text.toWellFormed(), first, last)
    for (let start = 0, due = STEP; start < normal.length && ids.length <= limit;) {
      const end = this.#words.end(normal, start)
      if (end - start > STEP) this.#join(yield* this.#mergeLong(normal.slice(start, end), limit), ids, limit)
      else this.#encodeShort(normal.slice(start, end), ids)
      start = end
      if (start >= due) {
        due = start + STEP
        yield
      }
    }
    return ids.length <= limit
  }

  /** The text with its final spaces, not yet as marks: lookups are faster without a character beyond Latin-1. */
  *#normalize(text: string, first: boolean, last: boolean): Steps<string> {
    const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = this.#parts
    let body = text
    if (removeExtraWhitespaces) {
      let spaced = first
      body = yield* inPieces(text, piece => {
        const single = piece.replace(/ {2,}/g, ' ')
        const kept = spaced && single.startsWith(' ') ? single.slice(1) : single
        spaced = kept === '' ? spaced : kept.endsWith(' ')
        return kept
      })
    }
    if (body === '') return ''
    if (first && addDummyPrefix) body = ` ${body}`
    if (removeExtraWhitespaces && last) {
      let end = body.length
      while (end > 0 && (body.charCodeAt(end - 1) === 0x20 || (escapeWhitespaces && body.charCodeAt(end - 1) === MARK)))
        end--
      body = body.slice(0, end)
    }
    return body
  }

  #encodeShort(word: string, ids: IdList): void {
    let known = this.#words.areShort ? (this.#cache.get(word) ?? this.#wholeLines(word)) : undefined
    if (known === undefined) {
      const text = this.#escape(word)
      const symbols = this.#symbols
      const unmade = this.#unmade?.fill(-1)
      symbols.clear()
      this.#read(text, 0, text.length, symbols)
      const n = this.#merger.merge(symbols.array, symbols.length, this.#noting(unmade))
      const made = new IdList(n)
      const at = this.#spellOut(symbols.array, 0, n, text, 0, unmade, made)
      invariant(at === text.length, 'every character is in a piece')
      known = Array.from(made.take())
      if (word.length <= CACHED_LENGTH && this.#words.areShort) this.#cache.set(word, known)
    }
    this.#join(known, ids, Infinity)
  }

  /** A run of line feeds that is a piece stays that piece, despite the merges. */
  #wholeLines(word: string): readonly number[] | undefined {
    const id = this.#words.lines && word.startsWith('\n') ? this.#ids.get(word) : undefined
    return id !== undefined && this.#parts.types[id] === NORMAL ? [id] : undefined
  }

  /** The ids of a word, or the first of them where there are more than `limit`. */
  *#mergeLong(word: string, limit: number): Steps<Int32Array> {
    const text = yield* inPieces(word, piece => this.#escape(piece))
    const symbols = new IdList(text.length)
    for (let from = 0; from < text.length;) {
      from = this.#read(text, from, Math.min(text.length, from + STEP), symbols)
      yield
    }
    const unmade = this.#unmade?.slice().fill(-1)
    const ids = new IdList(0)
    const n = yield* this.#merger.merging(symbols.array, symbols.length, this.#noting(unmade))
    let at = 0
    for (let i = 0; i < n && ids.length <= limit; i += SYMBOLS) {
      at = this.#spellOut(symbols.array, i, Math.min(n, i + SYMBOLS), text, at, unmade, ids)
      yield
    }
    invariant(at === text.length || ids.length > limit, 'every character is in a piece')
    return ids.take()
  }

  #escape(text: string): string {
    if (!this.#parts.escapeWhitespaces) return text
    return text.length > STEP ? replaceUnit(text, 0x20, MARK) : text.replaceAll(' ', SPACE_MARK)
  }

  /**
   * Adds the symbols of the characters that begin between `from` and `to`, and returns where the last one ends: a
   * user-defined piece may reach further.
   */
  #read(text: string, from: number, to: number, symbols: IdList): number {
    let i = from
    while (i < to) {
      const special = this.#always.at(text, i)
      if (special >= 0) {
        symbols.add(special)
        i += this.#parts.pieces[special]!.length
      } else {
        const p = text.codePointAt(i)!
        symbols.add(this.#pairs.symbol(p))
        i += p > 0xffff ? 2 : 1
      }
    }
    return i
  }

  /** Keeps, by unused piece, the last pair that could have made it. */
  #noting(unmade: Int32Array | undefined): OnPair | undefined {
    const { results } = this.#pairs
    return unmade === undefined ? undefined : pair => void (unmade[results[pair]!] = pair)
  }

  /**
   * Appends the ids of the symbols from `from` to `to`, whose first is at `at` in the text, and returns the end of the
   * last.
   */
  #spellOut(
    symbols: Int32Array,
    from: number,
    to: number,
    text: string,
    at: number,
    unmade: Int32Array | undefined,
    ids: IdList
  ): number {
    let end = at
    for (let i = from; i < to; i++) end = this.#emit(symbols[i]!, text, end, unmade, ids)
    return end
  }

  /** Appends the ids of a symbol at `at` in the text, and returns its end. */
  #emit(symbol: number, text: string, at: number, unmade: Int32Array | undefined, ids: IdList): number {
    const { pieces, types, byteFallback, unknown } = this.#parts
    if (symbol < pieces.length) {
      const pair = unmade !== undefined && types[symbol] === UNUSED ? unmade[symbol]! : -1
      if (pair >= 0) {
        const { pairs } = this.#pairs
        return this.#emit(pairs.right(pair), text, this.#emit(pairs.left(pair), text, at, unmade, ids), unmade, ids)
      }
      ids.add(symbol)
      return at + pieces[symbol]!.length
    }
    const p = text.codePointAt(at)!
    if (byteFallback) this.#addBytes(p, ids)
    else if (ids.last !== unknown) ids.add(unknown!)
    return at + (p > 0xffff ? 2 : 1)
  }

  /** Adds the byte pieces of a character's UTF-8. */
  #addBytes(p: number, ids: IdList): void {
    const add = (byte: number): void => ids.add(this.#byteIds[byte]!)
    const rest = (shift: number): void => add(0x80 | ((p >> shift) & 0x3f))
    if (p < 0x80) return add(p)
    if (p < 0x800) add(0xc0 | (p >> 6))
    else {
      if (p < 0x10000) add(0xe0 | (p >> 12))
      else {
        add(0xf0 | (p >> 18))
        rest(12)
      }
      rest(6)
    }
    rest(0)
  }

  /** Unknown pieces next to each other are one. */
  #join(more: ArrayLike<number>, ids: IdList, limit: number): void {
    const { unknown, byteFallback } = this.#parts
    const from = !byteFallback && ids.last === unknown && more[0] === unknown ? 1 : 0
    if (more instanceof Int32Array) ids.pushUpTo(limit, more, more.length, from)
    else ids.push(more, more.length, from)
  }
}

/** A value that no text contains. */
const NONE = new PrefixMatcher([])

/** A file that removes spaces, or makes one unknown piece of many characters, can take texts of any length. */
function longestOf({ pieces, types, byteFallback, removeExtraWhitespaces }: SentencePieceParts): number {
  if (removeExtraWhitespaces || !byteFallback) return Infinity
  return pieces.reduce(
    (longest, piece, id) => (isText(types[id]!) ? Math.max(longest, Buffer.byteLength(piece)) : longest),
    1
  )
}

const isText = (type: number): boolean => type === NORMAL || type === USER_DEFINED || type === UNUSED

function pieceBytes({ types, unknown, unknownSurface }: SentencePieceParts, piece: string, id: number): Uint8Array {
  const type = types[id]
  if (type === BYTE) return Uint8Array.of(byteOfPiece(piece))
  if (id === unknown) return encoder.encode(unknownSurface)
  return encoder.encode(isText(type!) ? piece.replaceAll(SPACE_MARK, ' ') : piece)
}

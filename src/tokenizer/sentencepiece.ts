/**
 * A tokenizer of SentencePiece's kind: BPE over characters in which the piece of highest score is merged first (the leftmost of equals), spaces are characters
 * like any other (U+2581), and what has no piece becomes bytes or one unknown piece. Its ids are those of google/sentencepiece 0.2 for the same file, in
 * O(n log n). Differences, on purpose: control pieces are matched on request only, one that is a single character never comes out of plain text, and bytes that
 * are no UTF-8 are decoded as the WHATWG Encoding Standard says.
 */
import { createHash } from 'node:crypto'
import { invariant, VeritError } from '../lib/errors.ts'
import { DecodeStream } from './decode-stream.ts'
import { IdList } from './id-list.ts'
import { WordMerger } from './merge.ts'
import { CONTROL, NORMAL, USER_DEFINED } from './parts.ts'
import { PrefixMatcher } from './prefix-matcher.ts'
import { pairsOf } from './sentencepiece-pairs.ts'
import type { SentencePiecePairs } from './sentencepiece-pairs.ts'
import { BYTE, byteOfPiece, partsFaults, SPACE_MARK, UNUSED } from './sentencepiece-parts.ts'
import type { SentencePieceParts } from './sentencepiece-parts.ts'
import { SentencePieceStream } from './sentencepiece-stream.ts'
import { SentencePieceWords } from './sentencepiece-words.ts'
import type { EncodeStream, TextTokenizer } from './text-tokenizer.ts'
import { CACHED_LENGTH, WordCache } from './word-cache.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

const MARK = SPACE_MARK.charCodeAt(0)

export class SentencePieceTokenizer implements TextTokenizer {
  readonly specials: ReadonlyMap<string, number>
  #parts: SentencePieceParts
  #ids = new Map<string, number>()
  #byteIds = new Int32Array(256)
  #bytes: Uint8Array[]
  #pairs: SentencePiecePairs
  #merger: WordMerger
  #control: PrefixMatcher
  #always: PrefixMatcher
  #words: SentencePieceWords
  /** By piece that is not used: the last pair that could have made it. Empty when there is none such. */
  #unmade: Int32Array
  #cache = new WordCache()
  #symbols = new Int32Array(256)

  /** @throws VERIT_TOKENIZER_FILE. @param source what it names */
  constructor(parts: SentencePieceParts, source = 'the tokenizer') {
    for (const { problem } of partsFaults(parts)) throw new VeritError('VERIT_TOKENIZER_FILE', { source, problem })
    const { pieces, types } = parts
    this.#parts = parts
    this.#bytes = pieces.map((piece, id) => pieceBytes(parts, piece, id))
    pieces.forEach((piece, id) => {
      this.#ids.set(piece, id)
      if (types[id] === BYTE) this.#byteIds[byteOfPiece(piece)] = id
    })
    const ofType = (type: number): [string, number][] => pieces.map((piece, id): [string, number] => [piece, id]).filter(([, id]) => types[id] === type)
    this.specials = new Map(ofType(CONTROL))
    this.#control = new PrefixMatcher(ofType(CONTROL))
    this.#always = new PrefixMatcher(ofType(USER_DEFINED))
    this.#words = new SentencePieceWords(parts)
    this.#pairs = pairsOf(parts)
    const unused = Array.from(types).includes(UNUSED)
    this.#unmade = new Int32Array(unused ? pieces.length : 0)
    const { pairs, results, ranks } = this.#pairs
    this.#merger = new WordMerger(pairs, results, ranks, unused ? pair => void (this.#unmade[results[pair]!] = pair) : undefined)
  }

  get digest(): string {
    const { scores, types, ...rest } = this.#parts
    const names = Object.entries({ ...rest, scores: Array.from(scores), types: Array.from(types) }).sort(([a], [b]) => (a < b ? -1 : 1))
    return `sha256:${createHash('sha256').update(JSON.stringify(['sentencepiece-bpe', names])).digest('hex')}`
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
    const bytes = this.#bytes[id]
    if (bytes === undefined) throw new VeritError('VERIT_TOKEN_ID', { id, vocabSize: this.vocabSize })
    return bytes
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

  /** Encodes a text. With `allowSpecial`, the text after a control piece begins anew, with a space before it where the file asks for one, as in llama.cpp. */
  encode(text: string, options: { allowSpecial?: boolean } = {}): Int32Array<ArrayBuffer> {
    const ids = new IdList(text.length >> 1)
    let from = 0
    if (options.allowSpecial === true && !this.#control.empty) {
      for (let i = 0; i < text.length;) {
        const id = this.#control.at(text, i)
        if (id < 0) {
          i++
          continue
        }
        this.#encodePlain(text.slice(from, i), true, true, ids)
        ids.push([id], 1)
        from = i += this.#parts.pieces[id]!.length
      }
    }
    this.#encodePlain(from === 0 ? text : text.slice(from), true, true, ids)
    return ids.take()
  }

  encodeStream(): EncodeStream {
    let last = -1
    return new SentencePieceStream(this.#words.atSpaces, (text, first, end) => {
      const ids = new IdList(text.length >> 1)
      this.#encodePlain(text, first, end, ids)
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

  /** Encodes a text, or a part of one that begins and ends where no merge crosses. */
  #encodePlain(text: string, first: boolean, last: boolean, ids: IdList): void {
    const normal = this.#normalize(text.toWellFormed(), first, last)
    if (this.#words.atSpaces) {
      for (let start = 0; start < normal.length;) {
        const end = this.#words.end(normal, start)
        this.#encodeWord(normal.slice(start, end), ids)
        start = end
      }
    } else if (normal !== '') {
      this.#unmade.fill(-1)
      this.#merge(normal, ids)
    }
    if (this.#symbols.length > 1 << 16) this.#symbols = new Int32Array(256)
  }

  /** The text with its spaces as they are to be, not yet as marks: most texts are looked up faster without a character beyond Latin-1. */
  #normalize(text: string, first: boolean, last: boolean): string {
    const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = this.#parts
    let body = text
    if (removeExtraWhitespaces) {
      body = body.replace(/ {2,}/g, ' ')
      if (first && body.startsWith(' ')) body = body.slice(1)
    }
    if (body === '') return ''
    if (first && addDummyPrefix) body = ` ${body}`
    if (removeExtraWhitespaces && last) {
      let end = body.length
      while (end > 0 && (body.charCodeAt(end - 1) === 0x20 || (escapeWhitespaces && body.charCodeAt(end - 1) === MARK))) end--
      body = body.slice(0, end)
    }
    return body
  }

  #encodeWord(word: string, ids: IdList): void {
    let known = this.#cache.get(word)
    if (known === undefined) {
      const list = new IdList(word.length)
      this.#merge(word, list)
      const made = list.take()
      if (word.length > CACHED_LENGTH) return this.#join(made, ids)
      known = Array.from(made)
      this.#cache.set(word, known)
    }
    this.#join(known, ids)
  }

  /** Unknown pieces next to each other are one. */
  #join(more: ArrayLike<number>, ids: IdList): void {
    const { unknown, byteFallback } = this.#parts
    ids.push(more, more.length, !byteFallback && ids.last === unknown && more[0] === unknown ? 1 : 0)
  }

  #merge(word: string, ids: IdList): void {
    const text = this.#parts.escapeWhitespaces ? word.replaceAll(' ', SPACE_MARK) : word
    if (this.#symbols.length < text.length) this.#symbols = new Int32Array(2 * text.length)
    const symbols = this.#symbols
    const { pieces } = this.#parts
    let n = 0
    for (let i = 0; i < text.length;) {
      const special = this.#always.at(text, i)
      if (special >= 0) {
        symbols[n++] = special
        i += pieces[special]!.length
      } else {
        const p = text.codePointAt(i)!
        symbols[n++] = this.#pairs.symbol(p)
        i += p > 0xffff ? 2 : 1
      }
    }
    n = this.#merger.merge(symbols, n)
    let at = 0
    for (let i = 0; i < n; i++) at = this.#emit(symbols[i]!, text, at, ids)
    invariant(at === text.length, 'every character is in a piece')
  }

  /** Adds the ids of a symbol that stands at `at` in the text, and returns where it ends. */
  #emit(symbol: number, text: string, at: number, ids: IdList): number {
    const { pieces, types, byteFallback, unknown } = this.#parts
    if (symbol < pieces.length) {
      const pair = types[symbol] === UNUSED ? this.#unmade[symbol]! : -1
      if (pair >= 0) return this.#emit(this.#pairs.pairs.right(pair), text, this.#emit(this.#pairs.pairs.left(pair), text, at, ids), ids)
      ids.push([symbol], 1)
      return at + pieces[symbol]!.length
    }
    const character = String.fromCodePoint(text.codePointAt(at)!)
    if (byteFallback) ids.push(Array.from(encoder.encode(character), b => this.#byteIds[b]!), Buffer.byteLength(character))
    else this.#join([unknown!], ids)
    return at + character.length
  }
}

const isText = (type: number): boolean => type === NORMAL || type === USER_DEFINED || type === UNUSED

function pieceBytes({ types, unknown, unknownSurface }: SentencePieceParts, piece: string, id: number): Uint8Array {
  const type = types[id]
  if (type === BYTE) return Uint8Array.of(byteOfPiece(piece))
  if (id === unknown) return encoder.encode(unknownSurface)
  return encoder.encode(isText(type!) ? piece.replaceAll(SPACE_MARK, ' ') : piece)
}

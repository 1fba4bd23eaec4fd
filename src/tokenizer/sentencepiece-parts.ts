/**
 * The parts of a SentencePiece tokenizer, in the form that a `.model` file and GGUF's "llama" tokenizer share, and all
 * their checks: a tokenizer is only made from valid parts.
 */
import { printable } from '../lib/printable.ts'
import { CONTROL, NORMAL, UNUSED, USER_DEFINED } from './parts.ts'
import { sentencePieceLimits as limits } from './sentencepiece-limits.ts'

/** Piece types besides those of parts.ts, numbered as in the format and in GGUF's `tokenizer.ggml.token_type`. */
export const UNKNOWN = 2
/** `<0x41>`: a byte of text without a piece. */
export const BYTE = 6

/** The character that stands for a space in pieces: U+2581. */
export const SPACE_MARK = '\u2581'

export interface SentencePieceParts {
  /** By id, as the file spells them ("▁the"). */
  pieces: readonly string[]
  /** By id; the merge that makes the piece of highest score is the next one. */
  scores: ArrayLike<number>
  /** By id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  types: ArrayLike<number>
  /**
   * Gemma 4: "left right" in order of rank, which decide in the place of scores; and no merge crosses the border of a
   * run of line feeds.
   */
  merges?: readonly string[] | undefined
  /** Characters without a piece become bytes, not the unknown piece. */
  byteFallback: boolean
  /** A space is put before a text. */
  addDummyPrefix: boolean
  /** Spaces at both ends of a text go, and runs of them become one. */
  removeExtraWhitespaces: boolean
  /** Spaces become U+2581. */
  escapeWhitespaces: boolean
  /** Id of the unknown piece. */
  unknown: number | undefined
  /** Decoded text of the unknown piece. */
  unknownSurface: string
  beginOfText: number | undefined
  endOfText: number | undefined
  /** Whether prompts begin with `beginOfText`. */
  addsBegin: boolean
}

export interface PartsFault {
  readonly problem: string
  /** Id of the piece concerned. */
  readonly piece?: number
}

/**
 * The byte that a byte piece stands for, or -1 when it is not spelled `<0x00>` to `<0xFF>`: upper case, no sign, two
 * digits.
 */
export const byteOfPiece = (piece: string): number =>
  /^<0x[0-9A-F]{2}>$/.test(piece) ? Number.parseInt(piece.slice(3, 5), 16) : -1

/** Whether merging produces pieces of this type. An unused piece is never in the result, but merges go through it. */
export const isMergeable = (type: number): boolean => type === NORMAL || type === UNUSED

const shown = (piece: string): string => `"${printable(piece, 40)}"`

/** All that keeps parts from becoming a tokenizer. */
export function* partsFaults(parts: SentencePieceParts): Generator<PartsFault> {
  const { pieces, scores, types } = parts
  const count = pieces.length
  if (count === 0 || count > limits.pieces)
    return yield { problem: `it has ${count} pieces, where 1 to ${limits.pieces} are allowed` }
  for (const [what, list] of [
    ['scores', scores],
    ['types', types]
  ] as const) {
    if (list.length !== count) return yield { problem: `it has ${count} pieces but ${list.length} ${what}` }
  }
  yield* pieceFaults(parts)
  yield* byteFaults(parts)
  yield* roleFaults(parts)
}

function* pieceFaults({ pieces, scores, types, removeExtraWhitespaces }: SentencePieceParts): Generator<PartsFault> {
  let specials = 0
  let specialUnits = 0
  let units = 0
  for (let id = 0; id < pieces.length; id++) {
    const text = pieces[id]!
    const type = types[id]!
    const fault = (problem: string): PartsFault => ({ problem: `piece ${id} ${problem}`, piece: id })
    if (text === '') yield fault('is empty')
    if (!text.isWellFormed()) yield fault('is not well-formed Unicode')
    if (!Number.isFinite(scores[id])) yield fault(`(${shown(text)}) has the score ${scores[id]}`)
    if (type === CONTROL || type === USER_DEFINED) {
      specials++
      specialUnits += text.length
      if (text.length > limits.specialUnits)
        yield fault(`has ${text.length} characters, more than the limit of ${limits.specialUnits}`)
      if (type === USER_DEFINED && removeExtraWhitespaces && text.includes(' '))
        yield fault(`(${shown(text)}) keeps spaces where the file removes them, which is not supported`)
    } else if (isMergeable(type)) {
      units += text.length
      if (text.length > limits.pieceUnits)
        yield fault(`has ${text.length} characters, more than the limit of ${limits.pieceUnits}`)
    } else if (type !== BYTE && type !== UNKNOWN)
      yield fault(`(${shown(text)}) has the type ${type}, where 1 to 6 are known`)
  }
  if (units > limits.allPieceUnits)
    yield { problem: `its pieces have ${units} characters together, more than the limit of ${limits.allPieceUnits}` }
  if (specials > limits.specials || specialUnits > limits.allSpecialUnits) {
    yield {
      problem:
        `it has ${specials} control and user-defined pieces with ${specialUnits} characters, where ` +
        `${limits.specials} and ${limits.allSpecialUnits} are allowed`
    }
  }
}

function* byteFaults({ pieces, types, byteFallback }: SentencePieceParts): Generator<PartsFault> {
  const found = new Set<number>()
  for (let id = 0; id < pieces.length; id++) {
    if (types[id] !== BYTE) continue
    const byte = byteOfPiece(pieces[id]!)
    if (byte < 0)
      yield { problem: `piece ${id} is ${shown(pieces[id]!)}, where a byte piece is <0x00> to <0xFF>`, piece: id }
    else if (!byteFallback)
      yield {
        problem: `piece ${id} (${shown(pieces[id]!)}) is a byte piece, but the file says that it uses none`,
        piece: id
      }
    found.add(byte)
  }
  if (!byteFallback) return
  const missing = Array.from({ length: 256 }, (_, b) => b).filter(b => !found.has(b))
  if (missing.length > 0)
    yield { problem: `${missing.length} of its 256 byte pieces are missing, the first for the byte ${missing[0]}` }
}

function* roleFaults({
  pieces,
  types,
  byteFallback,
  unknown,
  beginOfText,
  endOfText,
  addsBegin
}: SentencePieceParts): Generator<PartsFault> {
  for (const [what, id] of [
    ['unknown', unknown],
    ['begin-of-text', beginOfText],
    ['end-of-text', endOfText]
  ] as const) {
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < pieces.length))
      yield { problem: `its ${what} piece ${id} is not one of its ${pieces.length} pieces` }
  }
  if (unknown === undefined && !byteFallback)
    yield { problem: 'it has neither byte pieces nor an unknown piece, so that not every text could be encoded' }
  if (addsBegin && beginOfText === undefined) yield { problem: 'it wants a piece before each text, and names none' }
  if (!Array.from(types).some(t => isMergeable(t) || t === BYTE))
    yield { problem: 'it has no piece that text is made of' }
}

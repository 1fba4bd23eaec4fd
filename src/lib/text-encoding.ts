/** Guesses the encoding of a text from its bytes. Decodes nothing: UTF-8 is the only encoding that Verit reads. */
import { utf8Sequence } from './utf8.ts'

export type TextEncodingName =
  | 'utf-8'
  /** UTF-8 with some bytes that are not. */
  | 'utf-8-damaged'
  | 'utf-16le'
  | 'utf-16be'
  | 'utf-32le'
  | 'utf-32be'
  | 'windows-1252'
  | 'iso-8859-1'
  /** Another encoding, of one byte or several bytes a character. */
  | 'other'
  /** Not text. */
  | 'binary'

/** Bytes that Windows-1252 does not define. */
const UNDEFINED_1252: readonly number[] = [0x81, 0x8d, 0x8f, 0x90, 0x9d]
/** A larger share of control characters means that the bytes are not text. */
const MOST_CONTROLS = 0.2
/** The same for bytes that are not UTF-8 either. */
const MOST_CONTROLS_ELSE = 0.001
/** The largest share of letters beyond ASCII in the languages of Western Europe. */
const MOST_LETTERS = 0.3

/**
 * @param bytes the beginning of a file, or another part of it that begins with a character
 * @param whole whether nothing follows; a character that is cut off at the end is then invalid
 */
export function encodingOf(bytes: Uint8Array, whole: boolean): TextEncodingName {
  const marked = byMark(bytes)
  if (marked !== undefined) return marked
  const seen = countBytes(bytes, whole)
  const wide = 8 * seen.zeros > bytes.length || seen.invalid > 0 ? withoutMark(bytes) : undefined
  if (wide !== undefined) return wide
  if (seen.controls > MOST_CONTROLS * bytes.length) return 'binary'
  if (seen.invalid === 0) return 'utf-8'
  if (seen.multibyte >= seen.invalid) return 'utf-8-damaged'
  return seen.controls > MOST_CONTROLS_ELSE * bytes.length ? 'binary' : eightBits(bytes)
}

/** By the byte order mark (The Unicode Standard, section 23.8). */
function byMark(b: Uint8Array): TextEncodingName | undefined {
  if (b[0] === 0xff && b[1] === 0xfe) return b[2] === 0 && b[3] === 0 ? 'utf-32le' : 'utf-16le'
  if (b[0] === 0xfe && b[1] === 0xff) return 'utf-16be'
  return b[0] === 0 && b[1] === 0 && b[2] === 0xfe && b[3] === 0xff ? 'utf-32be' : undefined
}

interface Seen {
  zeros: number
  /** Control characters that texts do not have, zeros included. Tab, line breaks and escape are not counted. */
  controls: number
  /** Well-formed sequences of two bytes and more; one that the end cuts off counts. */
  multibyte: number
  /** Broken sequences, and bytes that begin none. */
  invalid: number
}

function countBytes(bytes: Uint8Array, whole: boolean): Seen {
  const seen: Seen = { zeros: 0, controls: 0, multibyte: 0, invalid: 0 }
  for (let i = 0; i < bytes.length;) {
    const byte = bytes[i]!
    if (byte < 0x80) {
      if (byte === 0) seen.zeros++
      if (byte < 8 || (byte > 13 && byte < 32 && byte !== 27)) seen.controls++
      i++
      continue
    }
    const length = utf8Sequence(bytes, i, bytes.length)
    if (length !== 0) seen.multibyte++
    if (length === 0 || (length === -1 && whole)) seen.invalid++
    i += length === -1 ? bytes.length - i : Math.max(1, length)
    // The rest of a broken sequence belongs to it.
    while (length === 0 && bytes[i]! >= 0x80 && bytes[i]! < 0xc0) i++
  }
  return seen
}

/** UTF-16 or UTF-32 without a byte order mark. */
function withoutMark(bytes: Uint8Array): TextEncodingName | undefined {
  if (readsAsUtf16(bytes, 0, 1)) return 'utf-16le'
  if (readsAsUtf16(bytes, 1, 0)) return 'utf-16be'
  if (readsAsUtf32(bytes, [0, 1, 2, 3])) return 'utf-32le'
  return readsAsUtf32(bytes, [3, 2, 1, 0]) ? 'utf-32be' : undefined
}

/** Characters that nearly every text has: space, line feed, ideographic space, comma and full stop. */
const COMMON: ReadonlySet<number> = new Set([0x20, 0x0a, 0x3000, 0x3001, 0x3002, 0xff0c])

/** Well-formed, without control or private characters, with common ones. The wrong order makes U+2000 of a space. */
function readsAsUtf16(bytes: Uint8Array, low: number, high: number): boolean {
  const units = bytes.length >> 1
  let common = 0
  let open = false
  for (let i = 0; i < units; i++) {
    const unit = bytes[2 * i + low]! + 256 * bytes[2 * i + high]!
    if (open !== ((unit & 0xfc00) === 0xdc00)) return false
    open = (unit & 0xfc00) === 0xd800
    const control = unit < 32 && (unit < 8 || unit > 13) && unit !== 27
    const unused = (unit >= 0x7f && unit < 0xa0) || (unit >= 0xe000 && unit < 0xf900) || unit >= 0xfff0
    if (control || unused) return false
    if (COMMON.has(unit)) common++
  }
  return units > 1 && common * 200 >= units
}

/** @param order positions of the bytes of a character, the lowest first */
function readsAsUtf32(bytes: Uint8Array, order: readonly [number, number, number, number]): boolean {
  const points = bytes.length >> 2
  for (let i = 0; i < points; i++) {
    const [a, b, c, d] = order.map(k => bytes[4 * i + k]!) as [number, number, number, number]
    if (d !== 0 || c > 0x10 || (c === 0 && b === 0 && a < 9)) return false
  }
  return points > 1
}

/** Bytes that are neither UTF-8 nor UTF-16: a Western European encoding, or another one. */
function eightBits(bytes: Uint8Array): TextEncodingName {
  let beyond = 0
  let quotes = 0
  for (const byte of bytes) {
    if (byte < 0x80) continue
    beyond++
    if (byte < 0xa0) quotes++
    if (UNDEFINED_1252.includes(byte)) return 'other'
  }
  if (beyond > MOST_LETTERS * bytes.length) return 'other'
  return quotes > 0 ? 'windows-1252' : 'iso-8859-1'
}

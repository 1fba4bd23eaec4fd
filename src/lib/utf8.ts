/**
 * UTF-8, one sequence at a time, for decoders that work in pieces. The legal sequences are those of the Unicode
 * Standard, table 3-7 (no overlong forms, no surrogates, nothing above U+10FFFF).
 */

/**
 * Looks at the sequence that starts at `bytes[i]` and may not reach `end`.
 * @returns its length (1 to 4) when complete, 0 when it can never be completed, -1 when it is legal so far but cut off
 *   by `end`.
 */
export function utf8Sequence(bytes: Uint8Array, i: number, end: number): number {
  const lead = bytes[i]!
  if (lead < 0x80) return 1
  if (lead < 0xc2 || lead > 0xf4) return 0
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  for (let k = 1; k < length; k++) {
    if (i + k >= end) return -1
    const byte = bytes[i + k]!
    // The second byte of four leads is narrower: overlong forms, surrogates and code points past the end are not UTF-8.
    const low = k === 1 && lead === 0xe0 ? 0xa0 : k === 1 && lead === 0xf0 ? 0x90 : 0x80
    const high = k === 1 && lead === 0xed ? 0x9f : k === 1 && lead === 0xf4 ? 0x8f : 0xbf
    if (byte < low || byte > high) return 0
  }
  return length
}

/** Number of bytes (0 to 3) at the end of `bytes[0, end)` that begin a character which later bytes could complete. */
export function utf8Pending(bytes: Uint8Array, end: number): number {
  for (let back = 1; back <= 3 && back <= end; back++) {
    const byte = bytes[end - back]!
    if (byte >= 0xc0) return utf8Sequence(bytes, end - back, end) === -1 ? back : 0
    if (byte < 0x80) return 0
  }
  return 0
}

/** Index of the first byte of `bytes[0, end)` that does not start a complete legal sequence, or -1 when all is well. */
export function utf8FirstInvalid(bytes: Uint8Array, end: number = bytes.length): number {
  for (let i = 0; i < end;) {
    const length = utf8Sequence(bytes, i, end)
    if (length <= 0) return i
    i += length
  }
  return -1
}

/** @param n how many of the UTF-16 units are the text */
export const textOfUnits = (units: Uint16Array<ArrayBuffer>, n = units.length): string =>
  Buffer.from(units.buffer, 0, 2 * n).toString('utf16le')

/** The text with one UTF-16 unit replaced by another. */
export function replaceUnit(text: string, unit: number, by: number): string {
  const units = new Uint16Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const own = text.charCodeAt(i)
    units[i] = own === unit ? by : own
  }
  return textOfUnits(units)
}

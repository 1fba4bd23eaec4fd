/**
 * Light cleaning of text that keeps its meaning. Version 1: removes a byte order mark at the start of a file and
 * control characters (C0 except tab and line feed, DEL, C1); CR LF and CR become LF.
 */

/** Recorded in the manifest; raised whenever the same input would give other text. */
export const CLEANING_VERSION = 1

// oxlint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]+/g

/** Cleans one file, piece by piece. */
export class Cleaner {
  /** Control characters removed so far. */
  removed = 0
  #atStart = true
  #carriageReturn = false

  /** Cleans the next piece. */
  push(piece: string): string {
    let text = this.#carriageReturn ? `\r${piece}` : piece
    if (text === '') return ''
    if (this.#atStart && text.charCodeAt(0) === 0xfeff) text = text.slice(1)
    this.#atStart = false
    text = text.replace(CONTROLS, found => {
      this.removed += found.length
      return ''
    })
    // A line feed may follow in the next piece.
    this.#carriageReturn = text.endsWith('\r')
    if (this.#carriageReturn) text = text.slice(0, -1)
    return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text
  }

  /** Ends the file. */
  end(): string {
    const rest = this.#carriageReturn ? '\n' : ''
    this.#carriageReturn = false
    this.#atStart = true
    return rest
  }
}

/**
 * Marks that separate the text of messages from the text of the chat template: a private-use character behind each
 * character of a message. A template may move, trim and join such text; a special token that overlaps a message has a
 * mark inside or behind it.
 */
import { VeritError } from '../lib/errors.ts'
import { inPieces } from '../lib/steps.ts'
import type { Steps } from '../lib/steps.ts'
import { textOfUnits } from '../lib/utf8.ts'

const FIRST = 0xe000
const COUNT = 0x1900
/** UTF-16 units per step. */
const LOOKED_AT = 1 << 14
/** By UTF-16 unit: 1 if no mark follows, because it is white space or the first half of a character. */
const BARE = Uint8Array.from({ length: 0x10000 }, (_, unit) =>
  (unit & 0xfc00) === 0xd800 || /\s/.test(String.fromCharCode(unit)) ? 1 : 0
)

/**
 * A mark that none of the texts has, as a UTF-16 unit; they are gone through once. @throws VeritError VERIT_CHAT where
 * all are used
 */
export function* freeMark(texts: readonly string[]): Steps<number> {
  const used = new Uint8Array(COUNT)
  for (const text of texts) {
    for (let i = 0; i < text.length; i++) {
      const mark = text.charCodeAt(i) - FIRST
      if (mark >= 0 && mark < COUNT) used[mark] = 1
      if (i % LOOKED_AT === LOOKED_AT - 1) yield
    }
  }
  const free = used.indexOf(0)
  if (free < 0)
    throw new VeritError('VERIT_CHAT', {
      problem: 'its messages use every character that Unicode keeps for private use'
    })
  return FIRST + free
}

/** A well-formed text with a mark behind each character that is not white space. */
export const marked = (text: string, mark: number): Steps<string> =>
  inPieces(text, piece => {
    const units = new Uint16Array(2 * piece.length)
    let n = 0
    for (let i = 0; i < piece.length; i++) {
      const unit = piece.charCodeAt(i)
      units[n++] = unit
      if (BARE[unit] === 0) units[n++] = mark
    }
    return textOfUnits(units, n)
  })

/** The text without the marks. */
export const unmarked = (text: string, mark: number): Steps<string> =>
  inPieces(text, piece => {
    const units = new Uint16Array(piece.length)
    let n = 0
    for (let i = 0; i < piece.length; i++) {
      const unit = piece.charCodeAt(i)
      if (unit !== mark) units[n++] = unit
    }
    return textOfUnits(units, n)
  })

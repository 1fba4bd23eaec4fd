/**
 * Scanners of Llama 3's rule and its kin: contractions in either case; letters with any one sign before; groups of
 * number characters; signs with the line ends after them; whitespace up to its last line end.
 */
import {
  characterClass,
  isOf,
  LETTERS,
  LOWERCASE,
  MARK,
  MODIFIER,
  NUMBER,
  OTHER_LETTER,
  setOf,
  SIGNS,
  TITLECASE,
  UPPERCASE
} from './classes.ts'
import {
  contractionInAnyCase,
  isLineEnd,
  lastLineEnd,
  lineEndsEnd,
  numbersEnd,
  runEnd,
  spaceWordEnd,
  spacesEnd,
  unitsOf
} from './scan.ts'

export interface LlamaRule {
  /** Number characters of a group. */
  digits: number
  /** Classes of letters, and of signs. */
  letters: number
  signs: number
  /** Groups of numbers are split off before the rule is applied. Default false. */
  numbersApart?: boolean
  /** Line ends after signs are separate words. Default false. */
  lineEndsApart?: boolean
}

export function llamaEnd(text: string, start: number, rule: LlamaRule): number {
  const length = contractionInAnyCase(text, start)
  if (length > 0) return start + length
  const p = text.codePointAt(start)!
  const c = characterClass(p)
  if (c === NUMBER) return numbersEnd(text, start, rule.digits)
  const { letters, signs } = rule
  const second = start + unitsOf(p)
  const next = second < text.length ? 1 << characterClass(text.codePointAt(second)!) : 0
  if (isOf(p, letters) || ((next & letters) !== 0 && !isLineEnd(p))) return runEnd(text, second, letters)
  if (isOf(p, signs) || (p === 0x20 && (next & signs) !== 0)) {
    const end = runEnd(text, second, signs)
    return rule.lineEndsApart === true ? end : lineEndsEnd(text, end)
  }
  return whitespaceEnd(text, start, rule.numbersApart === true)
}

function whitespaceEnd(text: string, start: number, numbersApart: boolean): number {
  const end = spacesEnd(text, start)
  const closed = end === text.length || (numbersApart && characterClass(text.codePointAt(end)!) === NUMBER)
  return lastLineEnd(text, start, end) || spaceWordEnd(start, end, closed)
}

/** Classes allowed in the first part of a word, in both parts, and in the second. */
export const CAPITALS = setOf(UPPERCASE, TITLECASE, MODIFIER, OTHER_LETTER, MARK)
const CASELESS = setOf(MODIFIER, OTHER_LETTER, MARK)
const SMALL = setOf(LOWERCASE, MODIFIER, OTHER_LETTER, MARK)

/**
 * The rule of tekken and of o200k: as Llama's, but a word is capitals and then small letters, and a slash goes with
 * signs as a line end does.
 * @param contractions a contraction belongs to the word before it
 */
export function casedEnd(text: string, start: number, digits: number, contractions: boolean): number {
  const p = text.codePointAt(start)!
  if (characterClass(p) === NUMBER) return numbersEnd(text, start, digits)
  const second = start + unitsOf(p)
  if (!isLineEnd(p)) {
    // A mark can be the sign before a word or its first letter: both give the same word.
    const first = isOf(p, LETTERS | (1 << MARK)) ? start : second
    const end = casedWordEnd(text, first)
    if (end > first) return contractions ? end + contractionInAnyCase(text, end) : end
  }
  if (isOf(p, SIGNS) || (p === 0x20 && second < text.length && isOf(text.codePointAt(second)!, SIGNS))) {
    let end = runEnd(text, second, SIGNS)
    while (end < text.length && (isLineEnd(text.charCodeAt(end)) || text[end] === '/')) end++
    return end
  }
  return whitespaceEnd(text, start, false)
}

/**
 * `[CAPITALS]*[SMALL]+|[CAPITALS]+[SMALL]*` from `start`, or `start` if neither matches. Without a small letter after
 * the capitals, the first expression backtracks: it ends behind the last one that is small, too.
 */
function casedWordEnd(text: string, start: number): number {
  let i = start
  let caseless = 0
  for (let p; i < text.length;) {
    p = text.codePointAt(i)!
    if (!isOf(p, CAPITALS)) {
      if (characterClass(p) === LOWERCASE) return runEnd(text, i, SMALL)
      break
    }
    i += unitsOf(p)
    if (isOf(p, CASELESS)) caseless = i
  }
  return caseless || i
}

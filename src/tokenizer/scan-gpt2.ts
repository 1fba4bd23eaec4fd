/**
 * Scanners of GPT-2's rule and of those that split before it: contractions; letters, numbers or other signs, each with
 * one space before; whitespace, whose last character is left for the next word.
 */
import { characterClass, isOf, LETTERS, NUMBER, PUNCTUATION, SIGNS, SPACE } from './classes.ts'
import { contraction, runEnd, spaceWordEnd, spacesEnd, unitsOf } from './scan.ts'

/** @param digitsSingly each number character is a separate piece before the rule applies */
export function gpt2End(text: string, start: number, digitsSingly: boolean): number {
  const length = contraction(text, start)
  if (length > 0) return start + length
  let i = start
  let p = text.codePointAt(i)!
  let c = characterClass(p)
  if (p === 0x20 && i + 1 < text.length) {
    const q = text.codePointAt(i + 1)!
    const d = characterClass(q)
    if (d !== SPACE && !(d === NUMBER && digitsSingly)) {
      i++
      p = q
      c = d
    }
  }
  if (c === NUMBER) return digitsSingly ? i + unitsOf(p) : runEnd(text, i, 1 << NUMBER)
  if (c !== SPACE) return runEnd(text, i, isOf(p, LETTERS) ? LETTERS : SIGNS)
  const end = spacesEnd(text, i)
  return spaceWordEnd(
    start,
    end,
    end === text.length || (digitsSingly && characterClass(text.codePointAt(end)!) === NUMBER)
  )
}

/** Falcon's first split takes these signs with the punctuation. */
const FALCON_SIGNS = new Set([...'$+<=>^~|`'].map(c => c.charCodeAt(0)))

/**
 * Falcon's rule and llama.cpp's `default`: runs of punctuation, then GPT-2's rule, then groups of three digits. An
 * apostrophe is punctuation, so contractions do not occur.
 * @param numbersApart `default`: numbers are split from the space before them, and a backtick is not punctuation
 */
export function falconEnd(text: string, start: number, numbersApart: boolean): number {
  const isPunctuation = (p: number): boolean =>
    characterClass(p) === PUNCTUATION || (FALCON_SIGNS.has(p) && !(numbersApart && p === 0x60))
  const runOfSigns = (i: number, punctuation: boolean): number => {
    for (let p; i < text.length; i += unitsOf(p)) {
      p = text.codePointAt(i)!
      if (!isOf(p, SIGNS) || isPunctuation(p) !== punctuation) break
    }
    return i
  }
  const p = text.codePointAt(start)!
  if (isPunctuation(p)) return runOfSigns(start, true)
  let i = start
  let c = characterClass(p)
  if (p === 0x20 && i + 1 < text.length) {
    const q = text.codePointAt(i + 1)!
    if (characterClass(q) !== SPACE && !isPunctuation(q)) {
      i++
      c = characterClass(q)
    }
  }
  if (c === NUMBER) return numbersApart && i > start ? i : threeDigitsEnd(text, start, i)
  if (c === SPACE) {
    const end = spacesEnd(text, i)
    return spaceWordEnd(start, end, end === text.length || isPunctuation(text.codePointAt(end)!))
  }
  return isOf(text.codePointAt(i)!, LETTERS) ? runEnd(text, i, LETTERS) : runOfSigns(i, false)
}

const isDigit = (p: number): boolean => p >= 0x30 && p <= 0x39

/**
 * `[0-9]{3}` in a word of numbers from `i` on: the end of a group at `start`, else the place where the first one
 * starts, else the word's end.
 */
function threeDigitsEnd(text: string, start: number, i: number): number {
  for (let digits = 0; i < text.length;) {
    const p = text.codePointAt(i)!
    if (characterClass(p) !== NUMBER) break
    i += unitsOf(p)
    digits = isDigit(p) ? digits + 1 : 0
    if (digits === 3) return i === start + 3 ? i : i - 3
  }
  return i
}

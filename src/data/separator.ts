/**
 * Finds the separators between the documents of a text, piece by piece, and takes them out together with the whitespace
 * around them. By default a separator is a known end-of-text name on a line of its own; a named one counts anywhere.
 */
import { VeritError } from '../lib/errors.ts'
import { Cleaner } from './clean.ts'

/** 'auto': end-of-text names on lines of their own; 'none'; or the text that separates documents wherever it stands. */
export type Separator = string

/** Names that published texts separate documents with. In other use they do not stand alone on a line. */
export const END_NAMES: readonly string[] = ['<|endoftext|>', '<|end_of_text|>']

export interface CutSink {
  text(piece: string): void
  /** A separator was here. */
  cut(): void
}

/** Longest run of whitespace that is taken out before a separator; of blanks beside one on its line. */
const LONGEST_RUN = 1 << 16
const LONGEST_BLANKS = 64
const LONGEST_SEPARATOR = 256

/** @throws VeritError VERIT_USAGE for a separator that no text can hold after cleaning */
export function checkSeparator(separator: Separator): void {
  const cleaner = new Cleaner()
  const clean = cleaner.push(separator) + cleaner.end()
  if (separator.trim() !== '' && separator.length <= LONGEST_SEPARATOR && clean === separator) return
  throw new VeritError('VERIT_USAGE', {
    problem: `${JSON.stringify(separator.slice(0, 80))} cannot separate documents`,
    hint: `Give 1 to ${LONGEST_SEPARATOR} characters that are not all whitespace, such as "<|endoftext|>"; `
      + 'blank lines separate documents with --format paragraphs',
  })
}

/** Cuts one file. */
export class SeparatorCutter {
  /** Separators found in the file so far. */
  found = 0
  #names: readonly string[]
  #alone: boolean
  #sink: CutSink
  /** Text whose meaning depends on what follows: whitespace, and the beginning of a separator. */
  #held = ''
  /** Whether nothing but whitespace has come since the last separator. */
  #skipping = false
  /** Whether the held text begins at the start of the file. */
  #atStart = true

  constructor(separator: Separator, sink: CutSink) {
    this.#names = separator === 'auto' ? END_NAMES : separator === 'none' ? [] : [separator]
    this.#alone = separator === 'auto'
    this.#sink = sink
  }

  /** Takes the next piece of the file. */
  push(piece: string): void {
    if (this.#names.length === 0) this.#emit(piece)
    else this.#take(this.#held + piece, false)
  }

  /** Ends the file. */
  end(): void {
    this.#take(this.#held, true)
    // In a file with separators no document ends with whitespace, not even the last.
    if (this.found > 0) this.#held = this.#held.replace(/\p{White_Space}+$/u, '')
    this.#emit(this.#held)
    this.#held = ''
  }

  #take(text: string, last: boolean): void {
    let rest = text
    for (let from = 0; ;) {
      const next = this.#next(rest, from)
      if (next === undefined) break
      const fits = this.#alone ? this.#isAlone(rest, next.start, next.end, last) : true
      if (fits === undefined) return this.#hold(rest, runStart(rest, next.start))
      from = next.end
      if (!fits) continue
      this.#emit(rest.slice(0, runStart(rest, next.start)))
      this.found++
      this.#sink.cut()
      this.#skipping = true
      this.#atStart = false
      // The line break that follows tells the next name that it begins a line.
      rest = this.#alone ? `\n${rest.slice(next.end)}` : rest.slice(next.end)
      from = 0
    }
    this.#hold(rest, this.#openEnd(rest))
  }

  #hold(text: string, from: number): void {
    this.#emit(text.slice(0, from))
    if (from > 0) this.#atStart = false
    this.#held = text.slice(from)
  }

  #next(text: string, from: number): { start: number; end: number } | undefined {
    let best: { start: number; end: number } | undefined
    for (const name of this.#names) {
      const start = text.indexOf(name, from)
      if (start >= 0 && (best === undefined || start < best.start)) best = { start, end: start + name.length }
    }
    return best
  }

  /** Whether only blanks stand beside a name on its line; undefined where that depends on what follows. */
  #isAlone(text: string, start: number, end: number, last: boolean): boolean | undefined {
    let before = start
    while (before > 0 && start - before <= LONGEST_BLANKS && isBlank(text[before - 1]!)) before--
    const begins = before === 0 ? this.#atStart : text[before - 1] === '\n'
    if (!begins || start - before > LONGEST_BLANKS) return false
    let after = end
    while (after < text.length && after - end <= LONGEST_BLANKS && isBlank(text[after]!)) after++
    if (after - end > LONGEST_BLANKS) return false
    return after < text.length ? text[after] === '\n' : last ? true : undefined
  }

  /** Position from which text must be held: the last whitespace and beginning of a name may belong to a separator. */
  #openEnd(text: string): number {
    let from = text.length
    for (const name of this.#names) {
      for (let k = Math.min(name.length - 1, text.length); k > 0; k--) {
        if (!text.endsWith(name.slice(0, k))) continue
        from = Math.min(from, text.length - k)
        break
      }
    }
    return runStart(text, from)
  }

  #emit(text: string): void {
    const shown = this.#skipping ? text.replace(/^\p{White_Space}+/u, '') : text
    if (shown === '') return
    this.#skipping = false
    this.#sink.text(shown)
  }
}

const isBlank = (c: string): boolean => c === ' ' || c === '\t'

/** Start of the run of whitespace before a position. */
function runStart(text: string, position: number): number {
  let i = position
  while (i > 0 && position - i < LONGEST_RUN && /\p{White_Space}/u.test(text[i - 1]!)) i--
  return i
}

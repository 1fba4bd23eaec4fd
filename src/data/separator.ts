/**
 * Finds the separators between documents, piece by piece, and removes them with the whitespace around them. By default
 * a separator is a known end-of-text name on its own line; a given one counts anywhere.
 */
import { VeritError } from '../lib/errors.ts'
import { Cleaner } from './clean.ts'

/** 'auto': end-of-text names on their own lines; 'none'; or a text that separates documents anywhere. */
export type Separator = string

/** Names that published texts separate documents with. In other use they do not stand alone on a line. */
export const END_NAMES: readonly string[] = ['<|endoftext|>', '<|end_of_text|>']

export interface CutSink {
  text(piece: string): void
  /** A separator was here. */
  cut(): void
}

/** Longest run of whitespace that is removed before a separator, and of blanks on its line. */
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
    hint:
      `Give 1 to ${LONGEST_SEPARATOR} characters that are not all whitespace, such as "<|endoftext|>"; ` +
      'blank lines separate documents with --format paragraphs'
  })
}

/** Cuts one file. */
export class SeparatorCutter {
  /** Separators found in the file so far. */
  found = 0
  #names: readonly string[]
  #alone: boolean
  #sink: CutSink
  /** Text whose meaning depends on the following text: whitespace, and the beginning of a separator. */
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
    let begin = 0
    for (const { start, end } of occurrences(text, this.#names)) {
      const fits = this.#alone ? this.#isAlone(text, begin, start, end, last) : true
      if (fits === undefined) return this.#hold(text, begin, runStart(text, start, begin))
      if (!fits) continue
      this.#emit(text.slice(begin, runStart(text, start, begin)))
      this.found++
      this.#sink.cut()
      this.#skipping = true
      begin = end
    }
    this.#hold(text, begin, this.#openEnd(text, begin))
  }

  /** Sends the text up to a position, and keeps the rest. */
  #hold(text: string, begin: number, from: number): void {
    this.#emit(text.slice(begin, from))
    if (from > 0) this.#atStart = false
    this.#held = text.slice(from)
  }

  /**
   * Whether a name is alone on its line, except for blanks; undefined if the following text decides.
   * @param begin of the text that was not sent yet
   */
  #isAlone(text: string, begin: number, start: number, end: number, last: boolean): boolean | undefined {
    let before = start
    while (before > begin && start - before <= LONGEST_BLANKS && isBlank(text[before - 1]!)) before--
    const begins = before === begin ? begin === 0 && this.#atStart : text[before - 1] === '\n'
    if (!begins || start - before > LONGEST_BLANKS) return false
    let after = end
    while (after < text.length && after - end <= LONGEST_BLANKS && isBlank(text[after]!)) after++
    if (after - end > LONGEST_BLANKS) return false
    return after < text.length ? text[after] === '\n' : last ? true : undefined
  }

  /** Position from which text must be held: the last whitespace and beginning of a name may belong to a separator. */
  #openEnd(text: string, begin: number): number {
    let from = text.length
    for (const name of this.#names) {
      for (let k = Math.min(name.length - 1, text.length - begin); k > 0; k--) {
        if (!text.endsWith(name.slice(0, k))) continue
        from = Math.min(from, text.length - k)
        break
      }
    }
    return runStart(text, from, begin)
  }

  #emit(text: string): void {
    const shown = this.#skipping ? text.replace(/^\p{White_Space}+/u, '') : text
    if (shown === '') return
    this.#skipping = false
    this.#sink.text(shown)
  }
}

const isBlank = (c: string): boolean => c === ' ' || c === '\t'

/** Where the names stand, in order, without those that overlap an earlier one. */
function* occurrences(text: string, names: readonly string[]): Generator<{ start: number; end: number }> {
  const next = names.map(name => text.indexOf(name))
  for (;;) {
    const starts = next.filter(at => at >= 0)
    if (starts.length === 0) return
    const start = Math.min(...starts)
    const end = start + names[next.indexOf(start)]!.length
    yield { start, end }
    for (const [k, name] of names.entries()) if (next[k]! >= 0 && next[k]! < end) next[k] = text.indexOf(name, end)
  }
}

/** Start of the run of whitespace before a position, not before `begin`. */
function runStart(text: string, position: number, begin: number): number {
  let i = position
  while (i > begin && position - i < LONGEST_RUN && /\p{White_Space}/u.test(text[i - 1]!)) i--
  return i
}

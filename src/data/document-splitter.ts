/**
 * Splits the text of a file into documents, piece by piece. `text`: the file is one document. `lines`: each non-blank
 * line. `paragraphs`: text between blank lines (empty, or only whitespace). `lines` and `paragraphs` trim whitespace.
 */

export type DataFormat = 'text' | 'lines' | 'paragraphs'

export interface DocumentSink {
  /** The next piece of the current document. */
  text(piece: string): void
  /** The document is complete. */
  end(): void
}

/**
 * Longer runs of whitespace are shortened to this, in all modes that treat whitespace (lines, paragraphs, collapsing).
 */
const LONGEST_RUN = 1 << 16

export class DocumentSplitter {
  #format: DataFormat
  #collapse: boolean
  #sink: DocumentSink
  /** Whitespace whose meaning depends on the following text. */
  #run = ''
  #newlines = 0
  #open = false

  /**
   * @param collapse each run of whitespace becomes one space, one line feed if it holds one, or two if it holds more.
   */
  constructor(format: DataFormat, collapse: boolean, sink: DocumentSink) {
    this.#format = format
    this.#collapse = collapse
    this.#sink = sink
  }

  /** Takes the next piece of the file. */
  push(piece: string): void {
    if (this.#format === 'text' && !this.#collapse) {
      if (piece === '') return
      this.#open = true
      this.#sink.text(piece)
      return
    }
    let from = 0
    for (const match of piece.matchAll(/\p{White_Space}+/gu)) {
      const run = match[0]
      const end = match.index + run.length
      const newlines = countNewlines(run)
      // Inside a piece, a run that stays needs no cut.
      if (match.index > from && end < piece.length && !this.#separates(newlines) && this.#shown(run, newlines) === run)
        continue
      this.#word(piece.slice(from, match.index))
      this.#run = (this.#run + run).slice(0, LONGEST_RUN)
      this.#newlines += newlines
      from = end
    }
    this.#word(piece.slice(from))
  }

  /** Ends the file, and with it a document. */
  end(): void {
    if (this.#open) this.#sink.end()
    this.#open = false
    this.#run = ''
    this.#newlines = 0
  }

  #separates(newlines: number): boolean {
    return newlines >= (this.#format === 'lines' ? 1 : this.#format === 'paragraphs' ? 2 : Infinity)
  }

  #shown(run: string, newlines: number): string {
    if (!this.#collapse) return run
    return newlines === 0 ? ' ' : '\n'.repeat(Math.min(newlines, 2))
  }

  #word(text: string): void {
    if (text === '') return
    if (this.#run !== '') {
      if (this.#open) {
        if (this.#separates(this.#newlines)) this.#sink.end()
        else this.#sink.text(this.#shown(this.#run, this.#newlines))
      }
      this.#run = ''
      this.#newlines = 0
    }
    this.#open = true
    this.#sink.text(text)
  }
}

function countNewlines(run: string): number {
  let n = 0
  for (let i = run.indexOf('\n'); i >= 0; i = run.indexOf('\n', i + 1)) n++
  return n
}

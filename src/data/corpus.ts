/** Passes over the documents of the inputs. Each pass reads the files anew, so that memory does not grow with them. */
import { setImmediate } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { formatBytes, Progress } from '../lib/progress.ts'
import type { ProgressOptions } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { interrupted } from './admit-inputs.ts'
import { DocumentSplitter } from './document-splitter.ts'
import type { DataFormat, DocumentSink } from './document-splitter.ts'
import type { InputFile } from './inputs.ts'
import { readText } from './read-text.ts'
import type { ReadResult } from './read-text.ts'
import { SeparatorCutter } from './separator.ts'
import type { Separator } from './separator.ts'

export interface CorpusOptions {
  format: DataFormat
  separator: Separator
  collapseWhitespace: boolean
  replaceInvalid: boolean
  signal?: AbortSignal | undefined
  stream?: ProgressOptions['stream'] | undefined
}

export class Corpus {
  #inputs: readonly InputFile[]
  #options: CorpusOptions
  #seen: ReadResult[] = []
  #separators = 0

  constructor(inputs: readonly InputFile[], options: CorpusOptions) {
    this.#inputs = inputs
    this.#options = options
  }

  /** Name, size and digest of each input, once a pass was made. */
  get records(): { name: string; bytes: number; sha256: string }[] {
    return this.#seen.map((s, i) => ({ name: this.#inputs[i]!.name, bytes: s.bytes, sha256: s.sha256 }))
  }

  /** Separators of documents that the last pass found. */
  get separators(): number {
    return this.#separators
  }

  /** Invalid sequences of bytes that the first pass read as U+FFFD, by input. */
  get replaced(): { name: string; sequences: number }[] {
    const all = this.#seen.map((s, i) => ({ name: this.#inputs[i]!.name, sequences: s.replaced }))
    return all.filter(r => r.sequences > 0)
  }

  /** Control characters that cleaning removed in the first pass, and the files that had some. */
  get removed(): { characters: number; files: number } {
    const some = this.#seen.filter(s => s.removed > 0)
    return { characters: some.reduce((sum, s) => sum + s.removed, 0), files: some.length }
  }

  /** Sends every document to the sink, in order. @param label of the progress line. */
  async pass(label: string, sink: DocumentSink): Promise<void> {
    const { stream } = this.#options
    const progress = new Progress({ label, total: this.#size(), format: formatBytes, ...(stream && { stream }) })
    this.#separators = 0
    let done = 0
    try {
      for (const [index, input] of this.#inputs.entries()) {
        const result = await this.#file(input, sink, units => progress.update((done += units)))
        const before = this.#seen[index]
        if (before && before.sha256 !== result.sha256) throw new VeritError('VERIT_DATA_CHANGED', { path: input.path })
        this.#seen[index] = result
      }
    } finally {
      progress.clear()
    }
  }

  async #file(input: InputFile, sink: DocumentSink, onUnits: (n: number) => void): Promise<ReadResult> {
    const { format, separator, collapseWhitespace, replaceInvalid, signal } = this.#options
    const documents = new DocumentSplitter(format, collapseWhitespace, sink)
    const cutter = new SeparatorCutter(separator, { text: piece => documents.push(piece), cut: () => documents.end() })
    const pieces = readText(input.path, { replaceInvalid })
    try {
      for (;;) {
        const next = pieces.next()
        if (next.done === true) {
          cutter.end()
          documents.end()
          this.#separators += cutter.found
          return next.value
        }
        cutter.push(next.value)
        onUnits(next.value.length)
        await setImmediate() // lets Ctrl-C through
        if (signal?.aborted === true) throw interrupted()
      }
    } finally {
      pieces.return?.({ bytes: 0, sha256: '', replaced: 0, removed: 0 })
    }
  }

  /** Bytes of all inputs: the progress bar's total (text counts in UTF-16 units, which is near enough). */
  #size(): number {
    let size = 0
    for (const input of this.#inputs) {
      using file = openRegular(input.path, 'a text to prepare')
      size += file.size
    }
    return size
  }
}

/** Passes over the documents of the inputs. Each pass reads the files anew, so that memory does not grow with them, and checks that they stayed. */
import { setImmediate } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { formatBytes, Progress } from '../lib/progress.ts'
import type { ProgressOptions } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { Cleaner } from './clean.ts'
import { DocumentSplitter } from './document-splitter.ts'
import type { DataFormat, DocumentSink } from './document-splitter.ts'
import type { InputFile } from './inputs.ts'
import { readText } from './read-text.ts'
import type { ReadResult } from './read-text.ts'

export interface CorpusOptions {
  format: DataFormat
  collapseWhitespace: boolean
  replaceInvalid: boolean
  signal?: AbortSignal | undefined
  stream?: ProgressOptions['stream'] | undefined
}

export class Corpus {
  #inputs: readonly InputFile[]
  #options: CorpusOptions
  #seen: ReadResult[] = []

  constructor(inputs: readonly InputFile[], options: CorpusOptions) {
    this.#inputs = inputs
    this.#options = options
  }

  /** Name, size and digest of each input, once a pass was made. */
  get records(): { name: string, bytes: number, sha256: string }[] {
    return this.#seen.map((s, i) => ({ name: this.#inputs[i]!.name, bytes: s.bytes, sha256: s.sha256 }))
  }

  /** Sends every document to the sink, in order. @param label of the progress line. */
  async pass(label: string, sink: DocumentSink): Promise<void> {
    const { format, collapseWhitespace, replaceInvalid, signal, stream } = this.#options
    const progress = new Progress({ label, total: this.#size(), format: formatBytes, ...(stream && { stream }) })
    let done = 0
    try {
      for (const [index, input] of this.#inputs.entries()) {
        const cleaner = new Cleaner()
        const documents = new DocumentSplitter(format, collapseWhitespace, sink)
        const pieces = readText(input, replaceInvalid)
        let next = pieces.next()
        try {
          for (; next.done !== true; next = pieces.next()) {
            documents.push(cleaner.push(next.value))
            done += next.value.length
            progress.update(done)
            await setImmediate() // lets Ctrl-C through
            if (signal?.aborted === true) {
              throw new VeritError('VERIT_INTERRUPTED', { saved: 'nothing was written', resume: 'Run the same command again to start over' })
            }
          }
        } finally {
          pieces.return?.({ bytes: 0, sha256: '' })
        }
        documents.push(cleaner.end())
        documents.end()
        const before = this.#seen[index]
        if (before && before.sha256 !== next.value.sha256) throw new VeritError('VERIT_DATA_CHANGED', { path: input.path })
        this.#seen[index] = next.value
      }
    } finally {
      progress.clear()
    }
  }

  /** Bytes of all inputs: the progress bar's total (text counts in UTF-16 units, which is near enough). */
  #size(): number {
    let size = 0
    for (const input of this.#inputs) {
      const file = openRegular(input.path, 'a text to prepare')
      size += file.size
      file.close()
    }
    return size
  }
}

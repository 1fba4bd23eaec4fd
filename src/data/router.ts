/**
 * Sends the documents that were kept to the side of the split they are on, by the decisions of the first pass. By
 * position, the document in which the border falls is cut there.
 */
import type { DocumentSink } from './document-splitter.ts'
import { characterIndex, countCharacters } from './split.ts'
import type { SplitName } from './split.ts'

/** A decision about a document. */
export const DROP = 0
export const TRAIN = 1
export const VALIDATION = 2

export interface SplitSink {
  text(side: SplitName, piece: string): void
  end(side: SplitName): void
}

export class Router implements DocumentSink {
  #decisions: Uint8Array
  #left: number
  #sink: SplitSink
  #document = 0
  #side: SplitName | undefined

  /**
   * @param decisions by number of the document.
   * @param trainCharacters characters that go to the train side when the split is by position; undefined when it is by
   *   content.
   */
  constructor(decisions: Uint8Array, trainCharacters: number | undefined, sink: SplitSink) {
    this.#decisions = decisions
    this.#left = trainCharacters ?? -1
    this.#sink = sink
  }

  text(piece: string): void {
    const decision = this.#decisions[this.#document]
    if (decision === DROP || piece === '') return
    if (this.#left < 0) return this.#send(decision === VALIDATION ? 'validation' : 'train', piece)
    const characters = countCharacters(piece)
    if (characters <= this.#left) {
      this.#left -= characters
      return this.#send('train', piece)
    }
    const at = characterIndex(piece, this.#left)
    this.#left = 0
    if (at > 0) this.#send('train', piece.slice(0, at))
    this.#send('validation', piece.slice(at))
  }

  #send(side: SplitName, piece: string): void {
    if (this.#side !== undefined && this.#side !== side) this.#sink.end(this.#side)
    this.#side = side
    this.#sink.text(side, piece)
  }

  end(): void {
    if (this.#side !== undefined) this.#sink.end(this.#side)
    this.#side = undefined
    this.#document++
  }
}

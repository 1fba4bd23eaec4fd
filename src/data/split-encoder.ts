/** Encodes the documents of both sides of the split into shards and keeps the counts that the manifest states. */
import type { EncodeStream } from '../tokenizer/text-tokenizer.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { SplitRecord } from './manifest.ts'
import type { SplitSink } from './router.ts'
import { ShardWriter, tokenWidth } from './shards.ts'
import { countCharacters } from './split.ts'
import type { SplitName } from './split.ts'

interface Side {
  record: SplitRecord
  writer: ShardWriter
  stream: EncodeStream
}

export class SplitEncoder implements SplitSink {
  #sides: Record<SplitName, Side>
  #endOfText: number | undefined
  #joiner: string
  #open: SplitName | undefined

  /**
   * @param folder that the shards are written to.
   * @param joiner text between documents when the tokenizer has no end-of-text token.
   */
  constructor(tokenizer: Tokenizer, folder: string, shardTokens: number, joiner: string) {
    const side = (name: SplitName): Side => ({
      record: { documents: 0, bytes: 0, characters: 0, tokens: 0, shards: [] },
      writer: new ShardWriter(folder, name, tokenWidth(tokenizer.vocabSize), shardTokens),
      stream: tokenizer.encodeStream()
    })
    this.#sides = { train: side('train'), validation: side('validation') }
    this.#endOfText = tokenizer.endOfText
    this.#joiner = joiner
  }

  text(name: SplitName, piece: string): void {
    const side = this.#sides[name]
    if (this.#open === undefined && this.#endOfText === undefined && side.record.documents > 0)
      this.#add(side, this.#joiner)
    this.#open = name
    this.#add(side, piece)
  }

  #add(side: Side, piece: string): void {
    side.record.bytes += Buffer.byteLength(piece)
    side.record.characters += countCharacters(piece)
    side.writer.write(side.stream.push(piece))
  }

  end(name: SplitName): void {
    const side = this.#sides[name]
    side.writer.write(side.stream.end())
    if (this.#endOfText !== undefined) side.writer.write([this.#endOfText])
    side.record.documents++
    this.#open = undefined
  }

  /** Completes the shards. */
  finish(): void {
    for (const { record, writer } of Object.values(this.#sides)) {
      writer.end()
      record.tokens = writer.tokens
      record.shards = writer.records
    }
  }

  /** Closes open files, also after a failure. */
  close(): void {
    for (const { writer } of Object.values(this.#sides)) writer.close()
  }

  get records(): Record<SplitName, SplitRecord> {
    return { train: this.#sides.train.record, validation: this.#sides.validation.record }
  }
}

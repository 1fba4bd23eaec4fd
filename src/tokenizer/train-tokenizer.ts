/**
 * Trains a tokenizer on a text that is pushed in pieces. BPE: special tokens first (ids 0, 1, ...), then the 256 bytes
 * in order, then the merged tokens in the order they were learned. Character: special tokens, then the distinct
 * characters by code point.
 */
import { VeritError } from '../lib/errors.ts'
import type { Progress } from '../lib/progress.ts'
import { byteSpelling, spell } from './bytes.ts'
import { WordCounter } from './count.ts'
import { CONTROL, NORMAL } from './parts.ts'
import { pretokenizer } from './pretokenizer.ts'
import { Tokenizer } from './tokenizer.ts'
import { trainBpe } from './train-bpe.ts'

export const END_OF_TEXT = '<|endoftext|>'

/** Options of `TokenizerTrainer`. */
export interface TrainTokenizerOptions {
  /** Default 'bpe'. */
  kind?: 'bpe' | 'character'
  /** Tokens in all, special ones included; 256 + specials to 131,072. Default 4096. Ignored for 'character'. */
  vocabSize?: number
  /** Special tokens. Default `<|endoftext|>` for BPE, none for characters. */
  specials?: readonly string[]
  /** BPE: each digit is a separate word. Default false. */
  singleDigits?: boolean
  /** BPE: most distinct words that are counted. Default 1,000,000. */
  wordCapacity?: number
}

/** Takes text in pieces, then makes the tokenizer. */
export class TokenizerTrainer {
  #kind: 'bpe' | 'character'
  #vocabSize: number
  #specials: readonly string[]
  #pretokenizer: string
  #words: WordCounter
  #characters = new Set<number>()
  /** High surrogate at the end of the last piece: the pair's other half may come with the next. */
  #high = ''

  constructor(options: TrainTokenizerOptions = {}) {
    this.#kind = options.kind ?? 'bpe'
    this.#specials = options.specials ?? (this.#kind === 'bpe' ? [END_OF_TEXT] : [])
    this.#vocabSize = options.vocabSize ?? 4096
    this.#pretokenizer = this.#kind === 'character' ? 'character' : options.singleDigits === true ? 'smollm' : 'gpt-2'
    this.#words = new WordCounter(pretokenizer(this.#pretokenizer)!, options.wordCapacity)
    const smallest = 256 + this.#specials.length
    if (
      this.#kind === 'bpe' &&
      !(Number.isInteger(this.#vocabSize) && this.#vocabSize >= smallest && this.#vocabSize <= 131_072)
    ) {
      throw new VeritError('VERIT_USAGE', {
        problem: `A vocabulary of ${this.#vocabSize} tokens cannot be trained`,
        hint: `Ask for ${smallest} (256 bytes and ${this.#specials.length} special) to 131072 tokens`
      })
    }
    for (const special of this.#specials) {
      const twice = this.#specials.indexOf(special) !== this.#specials.lastIndexOf(special)
      if (special.length >= 2 && special.length <= 256 && special.isWellFormed() && !twice) continue
      throw new VeritError('VERIT_USAGE', {
        problem: `${JSON.stringify(special)} cannot be a special token`,
        hint: 'Give each once, 2 to 256 characters long, such as "<|user|>"'
      })
    }
  }

  /** Names of the special tokens. */
  get specials(): readonly string[] {
    return this.#specials
  }

  /** Takes the next piece of a document. */
  push(piece: string): void {
    if (this.#kind === 'bpe') return this.#words.push(piece)
    let text = this.#high + piece
    this.#high = ''
    const last = text.charCodeAt(text.length - 1)
    if (last >= 0xd800 && last <= 0xdbff) {
      this.#high = text.slice(-1)
      text = text.slice(0, -1)
    }
    for (let i = 0; i < text.length;) {
      const p = text.codePointAt(i)!
      this.#characters.add(p)
      i += p > 0xffff ? 2 : 1
    }
  }

  /** Ends a document. */
  end(): void {
    if (this.#kind === 'bpe') this.#words.end()
    else if (this.#high) {
      this.#characters.add(0xfffd)
      this.#high = ''
    }
  }

  /** Trains. A BPE vocabulary can come out smaller than asked for, when the text has no pair left that occurs twice. */
  finish(progress?: Progress): Tokenizer {
    const specials = [...this.#specials]
    let words: string[]
    let merges: string[] = []
    if (this.#kind === 'character') {
      // A lone surrogate is encoded as U+FFFD.
      const points = new Set([...this.#characters].map(p => (p >= 0xd800 && p <= 0xdfff ? 0xfffd : p)))
      words = [...points].sort((a, b) => a - b).map(p => spell(Buffer.from(String.fromCodePoint(p))))
    } else {
      const trained = trainBpe(this.#words.counts, {
        tokens: this.#vocabSize - specials.length,
        reserved: new Set(specials),
        ...(progress && { progress })
      })
      words = trained.tokens.map(t =>
        t.length === 1 ? byteSpelling[t.charCodeAt(0)]! : spell(Buffer.from(t, 'latin1'))
      )
      merges = trained.merges.map(m => `${words[m.left]} ${words[m.right]}`)
    }
    return Tokenizer.fromParts({
      tokens: [...specials, ...words],
      tokenTypes: [...specials.map(() => CONTROL), ...words.map(() => NORMAL)],
      merges,
      pretokenizer: this.#pretokenizer
    })
  }
}

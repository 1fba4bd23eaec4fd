/** Counts how often a text spells the names of special tokens, which are plain text there. */
import { shellWord } from '../lib/shell-word.ts'
import { END_NAMES } from './separator.ts'

/** Names that end documents in published texts, whether or not the tokenizer has them. */
const ENDS: ReadonlySet<string> = new Set([...END_NAMES, '<|eos|>', '<eos>', '</s>', '[EOS]', '<|end|>'])
/** A rarer name may be the subject of the text. */
const OFTEN = 3

export class NameCounter {
  #counts: Map<string, number>
  #longest: number
  /** The end of the last piece, in which a name may begin. */
  #rest = ''

  /** @param specials names of the tokenizer's special tokens */
  constructor(specials: Iterable<string>) {
    this.#counts = new Map([...specials, ...ENDS].map(name => [name, 0]))
    this.#longest = Math.max(...Array.from(this.#counts.keys(), name => name.length))
  }

  /** Takes the next piece of a document. */
  push(piece: string): void {
    const text = this.#rest + piece
    const seen = this.#rest.length
    for (const [name, count] of this.#counts) {
      let n = 0
      // A name inside the kept end of the last piece was counted there.
      let at = text.indexOf(name, Math.max(0, seen - name.length + 1))
      for (; at >= 0; at = text.indexOf(name, at + name.length)) n++
      if (n > 0) this.#counts.set(name, count + n)
    }
    this.#rest = text.slice(Math.max(0, text.length - this.#longest + 1))
  }

  /** Ends a document. */
  end(): void {
    this.#rest = ''
  }

  /** A sentence for each name that occurs often. */
  get notices(): string[] {
    const often = [...this.#counts].filter(([, n]) => n >= OFTEN).sort(([, n], [, m]) => m - n)
    return often.map(([name, n]) => {
      const spelled = `The text spells ${name} ${n.toLocaleString('en-US')} times, which is read as plain text`
      return ENDS.has(name) ? `${spelled}. If it ends documents, add --separator ${shellWord(name)}` : spelled
    })
  }
}

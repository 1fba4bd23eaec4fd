/** Counts how often a text spells the names of special tokens, which are plain text there. */
import { shellWord } from '../lib/shell-word.ts'
import { END_NAMES } from './separator.ts'

/** Names that end documents in published texts, whether or not the tokenizer has them. */
const ENDS: ReadonlySet<string> = new Set([...END_NAMES, '<|eos|>', '<eos>', '</s>', '[EOS]', '<|end|>'])
/** A name that occurs less often may be what the text is about. */
const OFTEN = 3

export class NameCounter {
  #counts = new Map<string, number>()
  #pattern: RegExp
  #longest: number
  /** The end of the last piece, in which a name may begin. */
  #rest = ''

  /** @param specials names of the tokenizer's special tokens */
  constructor(specials: Iterable<string>) {
    const names = [...new Set([...specials, ...ENDS])].sort((a, b) => b.length - a.length)
    this.#longest = names[0]!.length
    this.#pattern = new RegExp(names.map(name => RegExp.escape(name)).join('|'), 'g')
  }

  /** Takes the next piece of a document. */
  push(piece: string): void {
    const text = this.#rest + piece
    let end = 0
    for (const { 0: name, index } of text.matchAll(this.#pattern)) {
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
      end = index + name.length
    }
    this.#rest = text.slice(Math.max(end, text.length - this.#longest + 1))
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

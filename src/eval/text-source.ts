/** A text file as tokens, read as `prepare` reads it. */
import type { TextRules } from '../data/input-kind.ts'
import { cleaningNotice } from '../data/notices.ts'
import { checkKind, readText } from '../data/read-text.ts'
import { SeparatorCutter, checkSeparator } from '../data/separator.ts'
import type { Separator } from '../data/separator.ts'
import type { TextTokenizer } from '../tokenizer/text-tokenizer.ts'
import { tokensInMemory } from './token-source.ts'
import type { TokenSource } from './token-source.ts'

export interface EncodeFileOptions extends TextRules {
  /** As in `PrepareOptions`. Default 'auto'. */
  readonly separator?: Separator | undefined
  /** Takes a message about what cleaning removed. */
  readonly onNotice?: ((notice: string) => void) | undefined
}

/** Text between documents where the tokenizer has no end-of-text token. */
const JOINER = '\n\n'

/**
 * Reads a text file: cleaned, with an end-of-text token for each document separator. Special tokens elsewhere are plain
 * text.
 * @returns a function that encodes the text; it no longer needs the file
 * @throws VeritError VERIT_DATA_KIND, VERIT_DATA_UTF8, and those of opening
 */
export function readTextFile(path: string, options: EncodeFileOptions = {}): (tokenizer: TextTokenizer) => TokenSource {
  const { separator = 'auto' } = options
  checkSeparator(separator)
  checkKind(path, options)
  const text: string[] = []
  const pieces = readText(path, options)
  let next = pieces.next()
  for (; next.done !== true; next = pieces.next()) text.push(next.value)
  const { removed } = next.value
  if (removed > 0) options.onNotice?.(cleaningNotice({ characters: removed, files: 1 }))
  return tokenizer => encoded(text, tokenizer, separator)
}

function encoded(text: readonly string[], tokenizer: TextTokenizer, separator: Separator): TokenSource {
  const { endOfText } = tokenizer
  const stream = tokenizer.encodeStream()
  const pieces: Int32Array[] = []
  const cutter = new SeparatorCutter(separator, {
    text: piece => void pieces.push(stream.push(piece)),
    cut: () => {
      if (endOfText === undefined) pieces.push(stream.push(JOINER))
      else pieces.push(stream.end(), Int32Array.of(endOfText))
    }
  })
  for (const piece of text) cutter.push(piece)
  cutter.end()
  pieces.push(stream.end())
  return tokensInMemory(joined(pieces))
}

function joined(pieces: readonly Int32Array[]): Int32Array {
  const ids = new Int32Array(pieces.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const piece of pieces) {
    ids.set(piece, at)
    at += piece.length
  }
  return ids
}

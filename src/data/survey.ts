/**
 * The first pass: decides about every document (too short, a duplicate, train or validation) from its key, and counts.
 */
import type { Corpus } from './corpus.ts'
import { DigestSet } from './digest-set.ts'
import { DocumentKey } from './document-key.ts'
import type { NameCounter } from './name-counter.ts'
import { DROP, TRAIN, VALIDATION } from './router.ts'
import { contentSide, countCharacters } from './split.ts'

export interface SurveyOptions {
  /** Counts the names of special tokens in the text. */
  names: NameCounter
  /** Documents with fewer characters are dropped; those without anything but whitespace always are. */
  minCharacters: number
  deduplicate: boolean
  seed: number
  /** Share of the validation side. */
  validation: number
}

export interface Survey {
  /** By number of the document: DROP, TRAIN or VALIDATION (by content). */
  decisions: Uint8Array
  read: number
  short: number
  duplicates: number
  kept: number
  /** Kept documents on the validation side, by content. */
  validation: number
  /** Characters of the kept documents. */
  characters: number
}

/** Makes the pass. Memory: one byte a document, and 32 to 64 for its digest when duplicates are dropped. */
export async function survey(corpus: Corpus, options: SurveyOptions): Promise<Survey> {
  const digests = new DigestSet()
  const key = new DocumentKey()
  const result: Survey = {
    decisions: new Uint8Array(1024),
    read: 0,
    short: 0,
    duplicates: 0,
    kept: 0,
    validation: 0,
    characters: 0
  }
  let characters = 0
  const decide = (digest: Buffer | undefined): number => {
    if (digest === undefined || characters < options.minCharacters) {
      result.short++
      return DROP
    }
    if (options.deduplicate && !digests.add(digest)) {
      result.duplicates++
      return DROP
    }
    result.kept++
    result.characters += characters
    if (contentSide(digest, options.seed, options.validation) === 'train') return TRAIN
    result.validation++
    return VALIDATION
  }
  await corpus.pass('read', {
    text: piece => {
      key.push(piece)
      options.names.push(piece)
      characters += countCharacters(piece)
    },
    end: () => {
      if (result.read === result.decisions.length) {
        const larger = new Uint8Array(2 * result.read)
        larger.set(result.decisions)
        result.decisions = larger
      }
      result.decisions[result.read++] = decide(key.end())
      options.names.end()
      characters = 0
    }
  })
  return result
}

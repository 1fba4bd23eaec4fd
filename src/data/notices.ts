/** Notices about the inputs of a dataset. */
import type { Corpus } from './corpus.ts'
import { printable } from '../lib/printable.ts'
import { countsOf } from './inputs.ts'
import type { PassedOver } from './inputs.ts'
import type { NameCounter } from './name-counter.ts'
import type { Separator } from './separator.ts'

const count = (n: number): string => n.toLocaleString('en-US')

/** Files that a notice names one by one. */
const NAMED = 5

/** One line with the counts, and a line for each of the first files that a person could expect in the dataset. */
export function passedOverNotices(passedOver: readonly PassedOver[]): string[] {
  if (passedOver.length === 0) return []
  const files = passedOver.length === 1 ? '1 file' : `${count(passedOver.length)} files`
  const odd = passedOver.filter(p => p.wanted)
  const lines = odd.slice(0, NAMED).map(p => `Passed over ${printable(p.name)}: ${p.reason}`)
  if (odd.length > NAMED) lines.push(`Passed over ${count(odd.length - NAMED)} more such files`)
  return [`Skipped ${files} in folders: ${countsOf(passedOver)}`, ...lines]
}

/** Notices about separators, special tokens, invalid bytes and control characters that the first pass found. */
export function textNotices(corpus: Corpus, separator: Separator, names: NameCounter): string[] {
  const notices: string[] = []
  const { separators } = corpus
  const named = separator !== 'auto' && separator !== 'none'
  const what = named ? JSON.stringify(separator) : 'lines that hold only an end-of-text name'
  const undo = named ? '' : '; --separator none reads them as text'
  if (separators > 0) notices.push(`Documents end at ${what}: ${count(separators)} found${undo}`)
  else if (named) notices.push(`The separator ${what} does not occur in the text`)
  notices.push(...names.notices)
  for (const { name, sequences } of corpus.replaced) {
    notices.push(`${printable(name)}: ${count(sequences)} invalid byte sequences are read as U+FFFD`)
  }
  if (corpus.removed.characters > 0) notices.push(cleaningNotice(corpus.removed))
  return notices
}

export function cleaningNotice({ characters, files }: Corpus['removed']): string {
  const removed = `${count(characters)} control character${characters === 1 ? '' : 's'} removed`
  return `Cleaned: ${removed} in ${count(files)} file${files === 1 ? '' : 's'}`
}

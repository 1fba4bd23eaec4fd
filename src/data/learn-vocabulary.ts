/** Feeds text files to a tokenizer's trainer, by the rules of `prepare`, without writing a dataset. */
import type { ProgressOptions } from '../lib/progress.ts'
import type { TokenizerTrainer } from '../tokenizer/train-tokenizer.ts'
import { admitInputs } from './admit-inputs.ts'
import { Corpus } from './corpus.ts'
import type { TextRules } from './input-kind.ts'
import { DEFAULT_EXTENSIONS, listInputs } from './inputs.ts'
import { NameCounter } from './name-counter.ts'
import { textNotices } from './notices.ts'
import { checkSeparator } from './separator.ts'
import type { Separator } from './separator.ts'

export interface LearnOptions extends TextRules {
  /** As in `PrepareOptions`. Default 'auto'. */
  readonly separator?: Separator | undefined
  /** Files that count inside folders. Default .txt, .md, .text. */
  readonly extensions?: readonly string[]
  /** Ends the work. */
  readonly signal?: AbortSignal
  /** Where progress goes. Default standard error. */
  readonly progress?: ProgressOptions['stream']
  /** Called with sentences about the inputs. */
  readonly onNotice?: (notice: string) => void
}

/** Pushes every document of the inputs. @throws VeritError as `prepare` does for its inputs */
export async function pushTexts(
  inputs: readonly string[],
  trainer: TokenizerTrainer,
  options: LearnOptions = {}
): Promise<void> {
  const { separator = 'auto', extensions = DEFAULT_EXTENSIONS, signal, progress: stream } = options
  const { asText = false, replaceInvalid = false, onNotice = () => undefined } = options
  checkSeparator(separator)
  const rules = { asText, replaceInvalid, extensions, signal, stream }
  const { files, notices } = await admitInputs(listInputs(inputs, extensions), rules)
  notices.forEach(onNotice)
  const format = { format: 'text', separator, collapseWhitespace: false, replaceInvalid, signal, stream } as const
  const corpus = new Corpus(files, format)
  const names = new NameCounter(trainer.specials)
  await corpus.pass('count', {
    text: piece => {
      names.push(piece)
      trainer.push(piece)
    },
    end: () => {
      names.end()
      trainer.end()
    }
  })
  textNotices(corpus, separator, names).forEach(onNotice)
}

/** `verit embed`: vectors of texts, or scores of documents for a query, as JSON Lines. */
import { Command } from 'commander'
import { VeritError } from '../lib/errors.ts'
import { interruptible } from './interruption.ts'
import { modelOptions, openModel } from './open-model.ts'
import type { ModelFlags } from './open-model.ts'
import { readStandardText } from './standard-text.ts'

interface Flags extends ModelFlags {
  query?: string
  instruction?: string
}

export function command(): Command {
  const c = new Command('embed')
    .summary('turn texts into vectors, or rank documents for a query')
    .description(
      'Prints one JSON line per text with its vector, of length 1. The pooling is the one that the file names; ' +
        'default: the last token. With --query, prints the score of each text instead, 0 to 1, by a model in the ' +
        'form of Qwen3-Reranker. A vector or score does not depend on the other texts.'
    )
    .argument('<model>', 'a .gguf file, a training run, or the name of a pulled model')
    .argument('[text...]', 'texts; none: the lines of standard input')
    .option('--query <text>', 'rank the texts as documents for this query')
    .option('--instruction <text>', 'with --query: what a document must do')
  return modelOptions(c)
    .addHelpText(
      'after',
      `
Examples:
  verit embed qwen3-embedding.gguf "What is a fox?" "A fox is an animal."
  verit embed model.gguf < lines.txt > vectors.jsonl
  verit embed qwen3-reranker.gguf --query "What is a fox?" "A fox is an animal." "It rains."`
    )
    .action(run)
}

async function run(model: string, given: readonly string[], flags: Flags): Promise<void> {
  const { query, instruction } = flags
  if (instruction !== undefined && query === undefined)
    throw new VeritError('VERIT_USAGE', { problem: '--instruction needs --query', hint: 'Add --query' })
  const texts = given.length > 0 ? given : linesOf(readStandardText())
  await using engine = await openModel(model, flags, { slots: 1 })
  const abort = new AbortController()
  const interrupt = (): void =>
    abort.abort(
      new VeritError('VERIT_INTERRUPTED', {
        saved: 'nothing was printed',
        resume: 'Run the same command again to start over'
      })
    )
  const { signal } = abort
  const rows = await interruptible(interrupt, async () =>
    query === undefined
      ? (await engine.embed(texts, signal)).map(vector => ({ embedding: [...vector] }))
      : (
          await engine.rerank(
            { query, documents: texts, ...(instruction === undefined ? {} : { instruction }) },
            signal
          )
        ).map(score => ({ score }))
  )
  process.stdout.write(rows.map((row, index) => `${JSON.stringify({ index, ...row })}\n`).join(''))
}

/** Lines that are not empty. */
function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/).filter(line => line !== '')
  if (lines.length > 0) return lines
  throw new VeritError('VERIT_USAGE', { problem: 'There is no text', hint: 'Name texts, or pipe lines in' })
}

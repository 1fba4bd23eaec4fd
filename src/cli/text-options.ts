/** Shared by commands that read text files: options, and the output of notices. */
import type { Command } from 'commander'

export interface TextFlags {
  asText?: true
  separator?: string
}

/** Adds --as-text. */
export const asTextOption = (c: Command): Command =>
  c.option('--as-text', 'read JSON, CSV, HTML and similar files as plain text instead of refusing them')

/** Adds --separator. */
export const separatorOption = (c: Command): Command =>
  c.option(
    '--separator <text>',
    'text that ends a document, or none (default: auto, <|endoftext|> or <|end_of_text|> on its own line)'
  )

/** Prints a notice as a line on standard error. */
export function printNotice(notice: string): void {
  process.stderr.write(`${notice}.\n`)
}

/** Shared by the subcommands of `verit audit`: location of the log, keys and files, printing. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describeEntry } from '../audit/describe-entry.ts'
import type { ReadEntry } from '../audit/reader.ts'
import { VeritError } from '../lib/errors.ts'
import { printable, printableJson } from '../lib/printable.ts'
import { Progress } from '../lib/progress.ts'
import { openRegular } from '../lib/regular-file.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import type { FileClass } from '../lib/trusted-file.ts'
import { defaultStateFolder, namedFolder } from '../store/state-folder.ts'
import { parseVerifierKey } from '../trust/note-key.ts'
import type { VerifierKey } from '../trust/note-key.ts'
import { NOTE_LIMIT } from '../trust/signed-note.ts'

export interface Where {
  state: string
  folder?: string
}

/** Adds the options that locate the log. */
export const located = (command: Command): Command =>
  command
    .addOption(
      new Option('--state <folder>', 'state folder of the server; the log is in its subfolder audit').default(
        defaultStateFolder()
      )
    )
    .option('--folder <folder>', 'folder of the log, or of an exported copy, instead of --state')

export const logFolder = ({ state, folder }: Where): string => folder ?? join(namedFolder(state), 'audit')

/** A file of text that is checked by its signature, or compared. @throws VeritError */
export function readText(path: string, purpose: string, limit = 16 << 20): string {
  using file = openRegular(path, purpose)
  if (file.size > limit) {
    throw new VeritError('VERIT_FILE_IO', { path, action: 'read', reason: `it has more than ${limit} bytes` })
  }
  return file.readAll().toString('utf8')
}

/** A key or checkpoint that a judgement rests on, or a private key. @throws VeritError as trusted-file.ts */
export const readEvidence = (path: string, purpose: string, kind: FileClass = 'decides'): string =>
  readTrusted(path, { kind, purpose, limit: NOTE_LIMIT }).toString('utf8')

/** A verifier key as it stands, or the file that holds it. */
export function keyArgument(given: string): VerifierKey {
  return existsSync(given)
    ? parseVerifierKey(readEvidence(given, 'a verifier key').trim(), given)
    : parseVerifierKey(given.trim(), `The key given, which is no file either (${printable(given, 100)}),`)
}

/** The key in the folder, for commands on the server itself. */
export function ownKey(folder: string): VerifierKey {
  const path = join(folder, 'verifier-key')
  return parseVerifierKey(readEvidence(path, 'the verifier key of an audit log').trim(), path)
}

export function printEntry({ index, entry }: ReadEntry, json: boolean): void {
  if (json) return void process.stdout.write(`${printableJson({ index, entry })}\n`)
  const line = `${String(index).padStart(7)}  ${describeEntry(entry)}`
  const width = process.stdout.columns || Infinity // of a terminal that knows its size; a pipe gets all
  process.stdout.write(`${line.length > width ? `${line.slice(0, width - 1)}…` : line}\n`)
}

/** Collects the values of a repeatable option in a list. */
export const collect = (value: string, list: string[] | undefined): string[] => [...(list ?? []), value]

/** A whole number of an argument. @throws VeritError VERIT_USAGE */
export function wholeNumber(text: string, what: string): number {
  const n = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN
  if (Number.isNaN(n))
    throw new VeritError('VERIT_USAGE', {
      problem: `${printable(text, 80)} is not ${what}`,
      hint: 'Give a whole number, counted from 0'
    })
  return n
}

/** Runs work with a bar that appears when it takes long. */
export async function withProgress<T>(
  label: string,
  work: (onProgress: (done: number, total: number) => void) => T | Promise<T>
): Promise<T> {
  let bar: Progress | undefined
  try {
    return await work((done, total) => {
      bar ??= new Progress({ label, total })
      bar.update(done)
    })
  } finally {
    bar?.clear()
  }
}

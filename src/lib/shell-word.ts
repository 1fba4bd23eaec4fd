/** Quotes paths and names so that a printed command can be pasted into a shell. */
import { commandName } from './command-name.ts'

/** Needs no quotes and is not an option. */
const PLAIN = /^[\w@%+=:,./][\w@%+=:,./-]*$/
/** Characters that a terminal acts on or does not show (see printable.ts): they cannot be copied from a line. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u

/**
 * One word of a POSIX shell (IEEE Std 1003.1, section 2.2). Text with control or other invisible characters becomes
 * $'...' with octal escapes of its UTF-8 bytes; bash, zsh, ksh and POSIX.1-2024 shells read that form.
 */
export function shellWord(text: string): string {
  if (PLAIN.test(text)) return text
  if (!HIDDEN.test(text)) return `'${text.replaceAll("'", "'\\''")}'`
  return `$'${text.replace(/[\p{C}\p{Zl}\p{Zp}\\']/gu, octal)}'`
}

const octal = (character: string): string =>
  Array.from(Buffer.from(character), byte => `\\${byte.toString(8).padStart(3, '0')}`).join('')

/** A path as a word that no program takes for an option. */
export const shellPath = (path: string): string => shellWord(path.startsWith('-') ? `./${path}` : path)

/**
 * A Verit command to paste, for instance `verit train --resume 'my run'`.
 * @param command its first words, unquoted @param paths its last words, quoted
 */
export const veritCommand = (command: string, ...paths: readonly string[]): string =>
  [commandName, command, ...paths.map(shellPath)].join(' ')

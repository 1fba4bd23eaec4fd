/**
 * Text from standard input, checked as a text file is. Reads no files: data/read-text.ts does.
 */
import { isUtf8 } from 'node:buffer'
import { isReadable, refusalOfInput } from '../data/input-kind.ts'
import type { TextRules } from '../data/input-kind.ts'
import { VeritError } from '../lib/errors.ts'
import { HEAD_BYTES, kindOfBytes } from '../lib/file-kind.ts'
import { readStandardInput } from '../lib/standard-streams.ts'
import { utf8FirstInvalid } from '../lib/utf8.ts'

/** A prompt may hold JSON or HTML. Binary data and other encodings are refused. */
const PROMPT: TextRules = { asText: true }

/**
 * All of standard input.
 * @param rules default: records and markup are read as plain text
 * @throws VeritError VERIT_DATA_KIND, VERIT_DATA_UTF8, VERIT_FILE_IO
 */
export function readStandardText(rules: TextRules = PROMPT): string {
  const bytes = readStandardInput()
  checkBeginning(bytes.subarray(0, HEAD_BYTES), bytes.length, rules)
  if (isUtf8(bytes)) return bytes.toString('utf8')
  throw new VeritError('VERIT_DATA_UTF8', { path: 'standard input', offset: utf8FirstInvalid(bytes) })
}

/**
 * Inspects the first bytes of standard input for commands that read it line by line, and leaves them to be read.
 * @returns false if it is empty
 * @throws VeritError VERIT_DATA_KIND
 */
export async function checkStandardInput(): Promise<boolean> {
  const head = await firstChunk(process.stdin)
  if (head === undefined) return false
  checkBeginning(head.subarray(0, HEAD_BYTES), Infinity, PROMPT)
  process.stdin.unshift(head)
  return true
}

/** Takes the first bytes off a stream; undefined if it ends earlier. */
function firstChunk(input: NodeJS.ReadStream): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const settle = (): void => void input.off('readable', look).off('end', ended).off('error', reject)
    const ended = (): void => {
      settle()
      resolve(undefined)
    }
    const look = (): void => {
      const chunk = input.read() as Buffer | null
      if (chunk === null) return
      settle()
      resolve(chunk)
    }
    input.on('readable', look).on('end', ended).on('error', reject)
  })
}

/** @param size of all of the input, in bytes; Infinity if unknown */
function checkBeginning(head: Buffer, size: number, rules: TextRules): void {
  const kind = kindOfBytes(head, size)
  if (!isReadable(kind, rules)) throw refusalOfInput(kind, head.toString('utf8'))
}

/** The text of a file with a Jinja chat template. The opener decides further requirements. */
import { VeritError } from './errors.ts'
import { printable } from './printable.ts'
import type { RegularFile } from './regular-file.ts'

/** Largest template file, in bytes; the renderer takes as many characters. */
export const MAX_TEMPLATE_BYTES = 1 << 16

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** @throws VeritError VERIT_CHAT for a file that is too large or not UTF-8, VERIT_FILE_IO */
export function readTemplate(file: RegularFile): string {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_CHAT', { template: printable(file.name), problem })
  }
  if (file.size > MAX_TEMPLATE_BYTES) return refuse(`has ${file.size} bytes, more than ${MAX_TEMPLATE_BYTES}`)
  const bytes = file.readAll()
  try {
    return utf8.decode(bytes)
  } catch {
    return refuse('is not UTF-8 text')
  }
}

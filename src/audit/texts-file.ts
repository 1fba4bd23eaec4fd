/**
 * The files of sealed texts, `texts/2026-11-22`: one JSON line a text, appended and synced. A line that a crash has
 * torn is passed over by readers.
 */
import { constants, existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../lib/make-folder.ts'
import { openRegular } from '../lib/regular-file.ts'
import { syncFolder } from '../lib/replace-file.ts'
import type { SealedLine } from './sealed-texts.ts'

export class TextsFile {
  #folder: string
  #day = ''
  #file: FileHandle | undefined

  constructor(folder: string) {
    this.#folder = join(folder, 'texts')
  }

  async append(day: string, lines: readonly SealedLine[]): Promise<void> {
    if (this.#file === undefined || this.#day !== day) await this.#open(day)
    try {
      await this.#file!.appendFile(lines.map(line => `${JSON.stringify(line)}\n`).join(''))
      await this.#file!.datasync()
    } catch (e) {
      await this.close() // the next line begins on a line of its own
      throw e
    }
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  async #open(day: string): Promise<void> {
    await this.close()
    if (makeFolder(this.#folder, { ownerOnly: true }) !== undefined) await syncFolder(join(this.#folder, '..'))
    const file = await open(
      join(this.#folder, day),
      constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0),
      0o600
    )
    try {
      await syncFolder(this.#folder)
      if ((await file.stat()).size > 0) await file.appendFile('\n') // ends a line that a crash may have torn
    } catch (e) {
      await file.close()
      throw e
    }
    this.#file = file
    this.#day = day
  }
}

/** The lines of a day's file that are whole. Reads 1 MiB at a time. */
export function* readTextsFile(folder: string, day: string): Generator<SealedLine> {
  const path = join(folder, 'texts', day)
  if (!existsSync(path)) return
  const file = openRegular(path, 'the sealed texts of a day')
  try {
    const chunk = Buffer.alloc(1 << 20)
    let rest: Buffer = Buffer.alloc(0)
    for (let at = 0; at < file.size; at += chunk.length) {
      const part = chunk.subarray(0, Math.min(chunk.length, file.size - at))
      file.read(at, part)
      rest = Buffer.concat([rest, part])
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        const line = sealedLine(rest.toString('utf8', 0, end))
        if (line !== undefined) yield line
        rest = rest.subarray(end + 1)
      }
    }
  } finally {
    file.close()
  }
}

function sealedLine(text: string): SealedLine | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { index, request, key, sealed } = value as Record<string, unknown>
  if (
    !Number.isSafeInteger(index) ||
    typeof request !== 'string' ||
    typeof key !== 'string' ||
    typeof sealed !== 'string'
  )
    return undefined
  return { index: index as number, request, key, sealed }
}

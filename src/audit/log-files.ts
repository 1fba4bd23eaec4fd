/**
 * Files of a log: `key` (private), `verifier-key`, `checkpoint`, `checkpoint.synced`, `cosigned` (the newest checkpoint
 * with cosignatures), `lock`, `tile/` as in C2SP tlog-tiles, with the open bundle as `tile/entries/N.open`, `salts/`
 * and `texts/`.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { NOTE_LIMIT } from '../trust/signed-note.ts'
import { TILE_WIDTH, tilePath } from '../trust/tiles.ts'
import { ENTRY_BYTES } from './entry-schema.ts'

/** Longest bundle in bytes. */
export const BUNDLE_BYTES = TILE_WIDTH * (2 + ENTRY_BYTES)
export const TILE_BYTES = TILE_WIDTH * 32

export const openBundlePath = (folder: string, index: number): string =>
  join(folder, `${tilePath({ level: 'entries', index })}.open`)
export const bundlePath = (folder: string, index: number): string => join(folder, tilePath({ level: 'entries', index }))
export const checkpointPath = (folder: string): string => join(folder, 'checkpoint')
/** A synced checkpoint, at most about a second older than `checkpoint`, which a power cut may leave empty. */
export const syncedPath = (folder: string): string => join(folder, 'checkpoint.synced')
export const cosignedPath = (folder: string): string => join(folder, 'cosigned')

/**
 * Reads a whole file; undefined if it does not exist, 'unfit' if it is longer than `limit` bytes or not a regular file.
 * @throws VeritError VERIT_FILE_IO
 */
export function readBounded(path: string, limit: number): Buffer | 'unfit' | undefined {
  if (!existsSync(path)) return undefined
  let file: RegularFile
  try {
    file = openRegular(path, 'a file of the audit log')
  } catch (e) {
    if (VeritError.is(e, 'VERIT_FILE_KIND')) return 'unfit'
    if (VeritError.is(e, 'VERIT_FILE_NOT_FOUND')) return undefined // gone since: the writer has renamed it
    throw e
  }
  try {
    if (file.size > limit) return 'unfit'
    const bytes = file.readAll()
    return bytes
  } finally {
    file.close()
  }
}

/**
 * The file of the newest checkpoint: where a power cut has left nothing of it, the one that was synced before. Entries
 * beyond it are there, and kept.
 */
export function newestNotePath(folder: string): string {
  const newest = checkpointPath(folder)
  const left = readNoteFile(newest)
  return left !== undefined && left.every(b => b === 0) && existsSync(syncedPath(folder)) ? syncedPath(folder) : newest
}

/**
 * The bytes of a note, read until two reads agree, because its writer may be writing. Undefined if there is no such
 * file, or it cannot be a note.
 */
export function readNoteFile(path: string): Buffer | undefined {
  for (let tries = 0; ; tries++) {
    const [bytes, again] = [readBounded(path, NOTE_LIMIT), readBounded(path, NOTE_LIMIT)]
    if (bytes === undefined || bytes === 'unfit') return undefined
    if (tries > 100 || (again instanceof Buffer && bytes.equals(again))) return bytes
  }
}

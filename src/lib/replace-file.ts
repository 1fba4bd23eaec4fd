/**
 * Writes a file so that a reader, or a crash at any moment, sees either the old file or the whole new one, as
 * atomic-file.ts does, but without holding up the event loop: for servers, which write while they answer.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface ReplaceOptions {
  /** Permission bits of the file before the umask. Default 0o600. */
  mode?: number
  /** Whether the new name, too, is on disk when this resolves (sync of the folder). Default true. */
  syncFolder?: boolean
}

/**
 * Replaces `path` by `data`. The temporary file has a name that `removeStaleTemporaries` recognises, and is removed on
 * failure.
 * @throws errors of the file system
 */
export async function replaceFile(
  path: string,
  data: Uint8Array | string,
  options: ReplaceOptions = {}
): Promise<void> {
  const temporary = join(dirname(path), `.verit-${process.pid}-${randomBytes(8).toString('hex')}.tmp`)
  const file = await open(
    temporary,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0),
    options.mode ?? 0o600
  )
  try {
    try {
      await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (e) {
    await unlink(temporary).catch(() => undefined)
    throw e
  }
  if (options.syncFolder ?? true) await syncFolder(dirname(path))
}

/**
 * Makes the names in a folder durable. Some file systems and Windows cannot sync a folder: there is nothing more to do
 * then.
 */
export async function syncFolder(folder: string): Promise<void> {
  let handle
  try {
    handle = await open(folder, constants.O_RDONLY)
  } catch {
    return
  }
  try {
    await handle.sync()
  } catch (e) {
    if (!['EINVAL', 'EPERM', 'EISDIR', 'ENOTSUP'].includes((e as NodeJS.ErrnoException).code ?? '')) throw e
  } finally {
    await handle.close()
  }
}

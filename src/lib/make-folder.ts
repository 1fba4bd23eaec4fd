/**
 * Creates a folder and its parents. The only place that does so: Node's own recursive mkdir never returns if mkdir
 * reports ENOENT although the parent exists (procfs, some FUSE file systems), and signals are not handled meanwhile.
 */
import { chmodSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { VeritError } from './errors.ts'
import { fileError } from './file-error.ts'

export interface FolderOptions {
  /**
   * Whether the folder is for this user alone: mode 0700 whatever the umask. Default false: 0777 less the umask. A
   * folder that exists keeps its mode.
   */
  ownerOnly?: boolean
}

/**
 * Gives the topmost folder that was made; undefined where `path` was there already. Makes at most one folder for each
 * part of the path.
 * @throws VeritError VERIT_FILE_IO
 */
export function makeFolder(path: string, { ownerOnly = false }: FolderOptions = {}): string | undefined {
  const folder = resolve(path)
  const missing: string[] = []
  for (let at = folder; !isFolder(at, path); at = dirname(at)) {
    missing.push(at)
    if (dirname(at) === at) break
  }
  for (const at of missing.toReversed()) makeOne(at, path, ownerOnly ? 0o700 : 0o777)
  if (ownerOnly && missing.length > 0 && process.platform !== 'win32') chmodSync(folder, 0o700)
  return missing.at(-1)
}

function makeOne(folder: string, path: string, mode: number): void {
  try {
    mkdirSync(folder, { mode })
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException
    if (code === 'EEXIST' && isFolder(folder, path)) return // another process has made it
    if (code === 'EEXIST' || code === 'ENOENT') throw cannotMake(path, 'no folder can be made there')
    throw fileError(e, path, 'write')
  }
}

function isFolder(path: string, wanted: string): boolean {
  let found
  try {
    found = statSync(path, { throwIfNoEntry: false })
  } catch (e) {
    throw fileError(e, wanted, 'write')
  }
  if (found !== undefined && !found.isDirectory()) {
    throw cannotMake(wanted, `${path === resolve(wanted) ? 'it' : path} is not a folder`)
  }
  return found !== undefined
}

const cannotMake = (path: string, reason: string): VeritError =>
  new VeritError('VERIT_FILE_IO', { path, action: 'write', reason })

/** Where pulled models are kept: one folder for a user, which only that user can enter. */
import { chmodSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import { fileError } from '../lib/file-error.ts'
import { checkPrivate } from '../lib/private-path.ts'

/** `$VERIT_MODELS`, or the folder `models` in `$XDG_STATE_HOME/verit` or `~/.local/state/verit`. */
export function defaultModelsFolder(env: NodeJS.ProcessEnv = process.env): string {
  const own = env['VERIT_MODELS'] ?? ''
  if (own !== '') return resolve(own)
  const base = env['XDG_STATE_HOME'] ?? ''
  return join(isAbsolute(base) ? base : join(homedir(), '.local', 'state'), 'verit', 'models')
}

/** Makes a folder (0700) where there is none and checks that it belongs to this user alone. @throws VeritError VERIT_STATE, VERIT_FILE_IO */
export function privateFolder(path: string): string {
  const folder = resolve(path)
  try {
    if (mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined && process.platform !== 'win32') chmodSync(folder, 0o700)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(e, folder, 'write')
  }
  checkPrivate(folder, 'folder')
  return folder
}

/** Where pulled models are kept: one folder for a user, which only that user can enter. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { stateBase } from '../lib/home-folder.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { checkPrivate } from '../lib/private-path.ts'

/**
 * `$VERIT_MODELS`, or the folder `models` in `$XDG_STATE_HOME/verit` or `~/.local/state/verit`. Empty for a user
 * without a home.
 */
export function defaultModelsFolder(env: NodeJS.ProcessEnv = process.env): string {
  const own = env['VERIT_MODELS'] ?? ''
  if (own !== '') return resolve(own)
  const base = stateBase(env)
  return base === undefined ? '' : join(base, 'verit', 'models')
}

/**
 * Creates a folder (0700) if needed, and checks that only this user can use it. @throws VeritError VERIT_STATE,
 * VERIT_FILE_IO
 */
export function privateFolder(path: string): string {
  if (path === '') {
    const problem = 'names no folder, and this user has no home folder'
    throw new VeritError('VERIT_MODEL_STORE', { path: '""', problem })
  }
  const folder = resolve(path)
  if (!existsSync(folder)) makeFolder(folder, { ownerOnly: true })
  checkPrivate(folder, 'folder')
  return folder
}

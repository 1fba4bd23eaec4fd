/**
 * One server per state folder: two would sign with the same key, and one of them could run without the audit log of the
 * other. Commands that only read or change keys work beside a server.
 */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { ExclusiveLock, isHeld } from '../lib/exclusive-lock.ts'
import { openStateFolder } from './state-folder.ts'

const LOCK = 'serve.lock'

/** Whether a server runs on the state folder; nothing is made. */
export function isServed(state: string): boolean {
  const path = join(resolve(state), LOCK)
  return existsSync(path) && isHeld(path)
}

/** @returns the lock; it is released when the process ends. @throws VeritError VERIT_STATE_LOCKED, VERIT_STATE */
export function lockState(state: string): ExclusiveLock {
  const folder = openStateFolder(state)
  const path = join(folder, LOCK)
  const fix = 'Remove that file: it is empty, and the next start creates it'
  return new ExclusiveLock(path, {
    held: cause => new VeritError('VERIT_STATE_LOCKED', { folder }, cause),
    damaged: (problem, cause) => new VeritError('VERIT_STATE', { path, problem, fix }, cause)
  })
}

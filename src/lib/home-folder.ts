/**
 * The folder of this user's state and pulled models. Node's own answer is not usable: an empty or relative HOME is
 * returned unchanged, so secrets would be written below the current folder, and a user without an entry in the password
 * database gets an exception.
 */
import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * `XDG_STATE_HOME`, or `.local/state` in the home folder (XDG Base Directory Specification: a relative value counts as
 * unset). The home folder is HOME, or that of the password database if HOME is empty or relative. Undefined if there is
 * neither.
 */
export function stateBase(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = env['XDG_STATE_HOME'] ?? ''
  if (isAbsolute(named)) return named
  const home = [env['HOME'] ?? '', env['USERPROFILE'] ?? '', registeredHome()].find(folder => isAbsolute(folder))
  return home === undefined ? undefined : join(home, '.local', 'state')
}

function registeredHome(): string {
  try {
    return userInfo().homedir
  } catch {
    return '' // a number without an entry, as containers have it
  }
}

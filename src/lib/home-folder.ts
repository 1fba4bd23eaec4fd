/**
 * The folder under which this user's state and pulled models lie. Node's own answer cannot be used as it is: an empty
 * or relative HOME comes back unchanged, so that secrets would be written below the current folder, and a user
 * without an entry in the password database gets an exception.
 */
import { userInfo } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * `XDG_STATE_HOME`, or `.local/state` in the home folder (XDG Base Directory Specification: a relative value counts
 * as unset). The home folder is HOME, or that of the password database where HOME is empty or relative. Undefined
 * where there is neither.
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

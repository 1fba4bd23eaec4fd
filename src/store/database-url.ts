/**
 * The address of PostgreSQL, if used: VERIT_DATABASE_URL, or the file that VERIT_DATABASE_URL_FILE names, never an
 * argument, which every process of the machine could read. Only the listed parameters of such a URL are accepted, so
 * that none of them disables a check.
 */
import { VeritError } from '../lib/errors.ts'
import { secretSetting } from '../lib/secret-setting.ts'

const MAX_BYTES = 4096
const parameters = ['host', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'application_name']
const loopback = new Set(['localhost', '127.0.0.1', '[::1]'])

function bad(problem: string): never {
  throw new VeritError('VERIT_DATABASE_URL', { problem })
}

/**
 * The URL, checked, or undefined where the environment has none. @throws VeritError VERIT_DATABASE_URL, VERIT_STATE (a
 * file that others can read)
 */
export function databaseUrl(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const text = env['VERIT_DATABASE_URL'] ?? ''
  const file = env['VERIT_DATABASE_URL_FILE'] ?? ''
  if (text !== '' && file !== '') bad('both VERIT_DATABASE_URL and VERIT_DATABASE_URL_FILE are set')
  const url = file === '' ? text : readUrlFile(env, file)
  if (url === '') return undefined
  checkDatabaseUrl(url)
  return url
}

function readUrlFile(env: NodeJS.ProcessEnv, path: string): string {
  const url = secretSetting('VERIT_DATABASE_URL', env, ({ clause, command }) => {
    const fix = `Run ${command}, and change the password if someone else may have read it`
    return new VeritError('VERIT_STATE', { path, problem: `${clause}, and it holds a password`, fix })
  })
  return url ?? bad('the file VERIT_DATABASE_URL_FILE is empty')
}

/** Nothing of the URL is repeated in an error: it may hold a password. @throws VeritError VERIT_DATABASE_URL */
export function checkDatabaseUrl(text: string): void {
  if (text.length > MAX_BYTES) bad(`it has more than ${MAX_BYTES} characters`)
  if (/[\s\p{C}]/u.test(text)) bad('it has spaces or control characters, which must stand as %20 and the like')
  const url = URL.parse(text)
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    bad('it must begin with postgresql:// and be a URL, with special characters of the password escaped (%40 for @)')
  }
  if (url.pathname.length < 2 || url.pathname.lastIndexOf('/') > 0)
    bad('it must name one database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE')
  if (url.hash !== '') bad('a # in it must be escaped (%23)')
  const query = [...url.searchParams.keys()]
  const unknown = query.filter(name => !parameters.includes(name))
  if (unknown.length > 0) bad(`of parameters it may have ${parameters.join(', ')}, and it has others`)
  if (new Set(query).size !== query.length) bad('it has a parameter twice')
  const socket = url.searchParams.get('host')
  if (socket !== null && !socket.startsWith('/')) bad('its parameter host is only for the folder of a socket')
  if (socket === null && url.hostname === '') bad('it names no host')
  const mode = url.searchParams.get('sslmode')
  if (mode !== null && !['disable', 'verify-full'].includes(mode)) {
    bad('sslmode is verify-full or disable: every other mode lets someone between the two pass for the database')
  }
  if (mode === null && socket === null && !loopback.has(url.hostname)) {
    bad(
      'its host is another machine, so it must have sslmode=verify-full, or sslmode=disable where the network ' +
        'itself is trusted'
    )
  }
}

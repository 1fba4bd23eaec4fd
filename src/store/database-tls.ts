/**
 * TLS to PostgreSQL: the files in the address are read here, with the checks of trusted files. `pg` would read them
 * without checks. The remaining address names no file.
 */
import type { ConnectionOptions } from 'node:tls'
import { VeritError } from '../lib/errors.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import type { FileClass } from '../lib/trusted-file.ts'

const MAX_BYTES = 256 << 10
/** Parameters of the address, the field of TLS that each fills, and the class of its file. */
const files = [
  ['sslrootcert', 'ca', 'decides'],
  ['sslcert', 'cert', 'decides'],
  ['sslkey', 'key', 'secret']
] as const

export interface DatabaseConnection {
  readonly connectionString: string
  /** false: no TLS. Undefined: the default of `pg`, which is no TLS. */
  readonly ssl?: ConnectionOptions | false
}

/**
 * @param url one that checkDatabaseUrl accepts
 * @throws VeritError VERIT_DATABASE_URL, which names the parameter and not the file: nothing of the address is repeated
 */
export function connectionOf(url: string): DatabaseConnection {
  const parsed = new URL(url)
  const { searchParams } = parsed
  const mode = searchParams.get('sslmode')
  if (mode === null && !files.some(([name]) => searchParams.has(name))) return { connectionString: url }
  const ssl = Object.fromEntries(
    files.flatMap(([name, field, kind]) => {
      const path = searchParams.get(name)
      return path === null ? [] : [[field, readPem(path, name, kind)]]
    })
  )
  for (const name of ['sslmode', ...files.map(([file]) => file)]) searchParams.delete(name)
  return { connectionString: parsed.href, ssl: mode === 'disable' ? false : ssl }
}

function readPem(path: string, name: string, kind: FileClass): string {
  const bad = (problem: string): VeritError =>
    new VeritError('VERIT_DATABASE_URL', { problem: `the file of its parameter ${name} ${problem}` })
  try {
    return readTrusted(path, {
      kind,
      purpose: name,
      limit: MAX_BYTES,
      tooLong: () => bad(`has more than ${MAX_BYTES.toLocaleString('en-US')} bytes`),
      refuse: ({ problem, command }) => bad(`${problem}: run ${command.split(' ').slice(0, 2).join(' ')} on it`)
    }).toString('utf8')
  } catch (e) {
    throw VeritError.is(e, 'VERIT_DATABASE_URL') ? e : bad('cannot be read')
  }
}

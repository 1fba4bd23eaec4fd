/**
 * Secrets that an operator gives to the server: from the environment, or from a file that the environment names (as Docker, Kubernetes and systemd
 * hand them over). Never from the command line, which every user of the machine can read.
 */
import { VeritError } from './errors.ts'
import { openRegular } from './regular-file.ts'

const MAX_BYTES = 16_384

/**
 * The value of `NAME`, or the text of the file named by `NAME_FILE` without the white space around it; undefined where neither is set, or is empty.
 * @throws VeritError VERIT_CONFIG where both are set or the value is not text; VERIT_FILE_NOT_FOUND, VERIT_FILE_IO, VERIT_FILE_KIND
 */
export function secretSetting(name: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const direct = env[name] ?? ''
  const path = env[`${name}_FILE`] ?? ''
  if (path === '') return check(name, direct)
  if (direct !== '') throw new VeritError('VERIT_CONFIG', { source: 'the environment', field: `${name}_FILE`, problem: `is set, and ${name} too: set one` })
  const file = openRegular(path, `named by ${name}_FILE`)
  try {
    if (file.size > MAX_BYTES) throw new VeritError('VERIT_CONFIG', { source: path, field: name, problem: `has more than ${MAX_BYTES} bytes` })
    const bytes = file.readAll()
    return check(`${name}_FILE`, bytes.toString('utf8'))
  } finally {
    file.close()
  }
}

function check(field: string, text: string): string | undefined {
  const value = text.trim()
  if (/[\p{Cc}\uFFFD]/u.test(value)) throw new VeritError('VERIT_CONFIG', { source: 'the environment', field, problem: 'holds more than one line of text' })
  return value === '' ? undefined : value
}

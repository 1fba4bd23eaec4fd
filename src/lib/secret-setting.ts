/**
 * Secrets that an operator gives to Verit: from the environment, or from a file that the environment names (as Docker,
 * Kubernetes and systemd hand them over). Never from the command line, which every user of the machine can read.
 */
import { VeritError } from './errors.ts'
import { readTrusted } from './trusted-file.ts'
import type { TrustedOptions } from './trusted-file.ts'

const MAX_BYTES = 16_384

/**
 * The value of `NAME`, or the text of the file named by `NAME_FILE` without the white space around it; undefined where
 * neither is set, or is empty.
 * @param refuse the error for a file that others can use; default VERIT_OTHERS_READ
 * @throws VeritError VERIT_CONFIG where both are set or the value is not text; VERIT_OTHERS_READ, VERIT_OTHERS_OWN;
 * VERIT_FILE_NOT_FOUND, VERIT_FILE_IO, VERIT_FILE_KIND
 */
export function secretSetting(
  name: string,
  env: NodeJS.ProcessEnv = process.env,
  refuse?: TrustedOptions['refuse']
): string | undefined {
  const direct = env[name] ?? ''
  const path = env[`${name}_FILE`] ?? ''
  if (path === '') return check(name, direct)
  if (direct !== '')
    throw new VeritError('VERIT_CONFIG', {
      source: 'the environment',
      field: `${name}_FILE`,
      problem: `is set, and ${name} too: set one`
    })
  const problem = `has more than ${MAX_BYTES} bytes`
  const bytes = readTrusted(path, {
    kind: 'secret',
    purpose: `named by ${name}_FILE`,
    limit: MAX_BYTES,
    refuse,
    tooLong: () => new VeritError('VERIT_CONFIG', { source: path, field: name, problem })
  })
  return check(`${name}_FILE`, bytes.toString('utf8'))
}

function check(field: string, text: string): string | undefined {
  const value = text.trim()
  if (/[\p{Cc}\uFFFD]/u.test(value))
    throw new VeritError('VERIT_CONFIG', {
      source: 'the environment',
      field,
      problem: 'holds more than one line of text'
    })
  return value === '' ? undefined : value
}

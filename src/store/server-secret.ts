/**
 * The server's secret: 256 random bits in a file of mode 0600, under which keys are hashed. With the key table alone,
 * nobody can use or guess a key.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { readTrusted } from '../lib/trusted-file.ts'

const BYTES = 32

/**
 * Reads the secret of a state folder, or makes it in a new one. Where the database has been used with a secret (`used`)
 * that is not there, no key of it can ever be valid again, and going on would hide that.
 * @throws VeritError VERIT_STATE where it is missing, damaged or open to others
 */
export function serverSecret(folder: string, used: boolean): Buffer {
  const path = join(folder, 'secret')
  if (!existsSync(path)) {
    if (used) {
      const fix =
        'Restore it from a backup, or copy it from another gateway of the same database; without it, begin with a ' +
        'new database and new keys'
      throw new VeritError('VERIT_STATE', {
        path,
        problem: 'it is missing, and the keys can be checked only with it',
        fix
      })
    }
    try {
      writeFileAtomic(path, randomBytes(BYTES), { mode: 0o600, overwrite: false })
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_FILE_EXISTS')) throw e // another server made it meanwhile: use that one
    }
  }
  const tooLong = (size: number): VeritError => damaged(path, size)
  const secret = readTrusted(path, { kind: 'state', purpose: 'the secret of the server', limit: BYTES, tooLong })
  if (secret.length !== BYTES) throw damaged(path, secret.length)
  return secret
}

function damaged(path: string, size: number): VeritError {
  const fix = 'Restore it from a backup; without it, every key must be made anew'
  return new VeritError('VERIT_STATE', { path, problem: `it has ${size} bytes, not ${BYTES}`, fix })
}

/**
 * The key that signs answers: Ed25519, in the state folder, created at the first start. With its public half, clients
 * can verify who answered them.
 */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { openStateFolder } from '../store/state-folder.ts'
import { serverKeyId } from '../trust/response-profile.ts'
import type { ServerKey } from '../trust/response-profile.ts'

const MAX_BYTES = 10_000

/** Reads the key of a state folder, or makes it. @throws VeritError VERIT_STATE */
export function serverKey(state: string): ServerKey {
  const path = join(openStateFolder(state), 'server-key.pem')
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('ed25519')
    try {
      writeFileAtomic(path, Buffer.from(privateKey.export({ format: 'pem', type: 'pkcs8' })), {
        mode: 0o600,
        overwrite: false
      })
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_FILE_EXISTS')) throw e // another process made it meanwhile: use that one
    }
  }
  const pem = readTrusted(path, { kind: 'state', purpose: 'the key that signs answers', limit: MAX_BYTES })
  try {
    const privateKey = createPrivateKey(pem)
    return { keyId: serverKeyId(privateKey), privateKey }
  } catch (e) {
    const fix = 'Restore it from a backup, or move it away: a new one is made, and clients must be told its public half'
    throw new VeritError('VERIT_STATE', { path, problem: 'it is not an Ed25519 private key (PEM)', fix }, e)
  }
}

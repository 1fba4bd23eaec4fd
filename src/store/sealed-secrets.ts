/**
 * Uses of the server's secret: digests of keys, the check that a database belongs to this secret, and encryption of the
 * secrets of HMAC signatures. Each use has its own key (RFC 5869), except digests, which are as in Verit 0.1.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  hkdfSync,
  randomBytes,
  timingSafeEqual
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'

const IV = 12
const TAG = 16

export class SealedSecrets {
  /**
   * As an object of the crypto module: from bytes, it would be made anew for each digest, which takes four times as
   * long.
   */
  #secret: KeyObject
  #encryption: Buffer

  /** @param secret the 32 bytes of the server's secret */
  constructor(secret: Buffer) {
    this.#secret = createSecretKey(secret)
    this.#encryption = Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), 'verit signing secrets v1', 32))
  }

  /** The stored digest of a key. */
  digest(key: string): Buffer {
    return createHmac('sha256', this.#secret).update(key).digest()
  }

  /** A value that only this secret gives. Its text is not a key, so it is not a key's digest. */
  check(): Buffer {
    return createHmac('sha256', this.#secret).update('verit secret check').digest()
  }

  isCheck(value: Uint8Array): boolean {
    return value.length === 32 && timingSafeEqual(value, this.check())
  }

  /** AES-256-GCM: 12 random bytes, the ciphertext, the tag. It opens only under the same id. */
  seal(secret: Uint8Array, credentialId: string): Buffer {
    const iv = randomBytes(IV)
    const cipher = createCipheriv('aes-256-gcm', this.#encryption, iv, { authTagLength: TAG })
    cipher.setAAD(Buffer.from(credentialId, 'utf8'))
    return Buffer.concat([iv, cipher.update(secret), cipher.final(), cipher.getAuthTag()])
  }

  /** @throws VeritError VERIT_STATE if the stored value was changed, or moved to another credential */
  open(sealed: Uint8Array, credentialId: string): Buffer {
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#encryption, sealed.subarray(0, IV), { authTagLength: TAG })
      decipher.setAAD(Buffer.from(credentialId, 'utf8'))
      decipher.setAuthTag(sealed.subarray(-TAG))
      return Buffer.concat([decipher.update(sealed.subarray(IV, -TAG)), decipher.final()])
    } catch (e) {
      const problem = `the signing secret of ${credentialId} was changed`
      throw new VeritError(
        'VERIT_STATE',
        {
          path: 'in its database',
          problem,
          fix: 'Rotate or revoke that key, and find out who can write to the database'
        },
        e
      )
    }
  }
}

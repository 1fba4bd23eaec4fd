/**
 * Secrets of a webhook and their signatures, as in Standard Webhooks 1.0: `whsec_` and 24 to 64 bytes in base64 for
 * HMAC-SHA-256 (signatures `v1`), `whsk_` and the 32 bytes of an Ed25519 private key (RFC 8032) for `v1a`, which the
 * receiver verifies with the public key alone.
 */
import { createHmac, createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'

/** Signs the bytes of `id.timestamp.body`; gives one entry of the header `webhook-signature`. */
export type WebhookSigner = (content: string) => string

/** Before the 32 bytes of an Ed25519 private key in PKCS #8 (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** @throws VeritError VERIT_CONFIG, which does not repeat the secret */
export function webhookSigner(secret: string): WebhookSigner {
  if (secret.startsWith('whsk_')) {
    const key = ed25519Key(secret)
    return content => `v1a,${sign(null, Buffer.from(content), key).toString('base64')}`
  }
  const key = decoded(secret, 'whsec_')
  if (key === undefined || key.length < 24 || key.length > 64) {
    refuse('is neither "whsec_" and 24 to 64 bytes in base64 nor "whsk_" and the 32 bytes of an Ed25519 private key')
  }
  return content => `v1,${createHmac('sha256', key).update(content).digest('base64')}`
}

/** `whpk_...`, for the receiver of a `whsk_...`. @throws VeritError VERIT_CONFIG */
export function webhookPublicKey(secret: string): string {
  const der = createPublicKey(ed25519Key(secret)).export({ type: 'spki', format: 'der' })
  return `whpk_${der.subarray(-32).toString('base64')}`
}

function ed25519Key(secret: string): ReturnType<typeof createPrivateKey> {
  const seed = decoded(secret, 'whsk_')
  if (seed?.length !== 32) refuse('has a "whsk_" that is not followed by 32 bytes in base64')
  return createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
}

function decoded(secret: string, prefix: string): Buffer | undefined {
  const text = secret.slice(prefix.length)
  if (!secret.startsWith(prefix) || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '') ? bytes : undefined
}

function refuse(problem: string): never {
  throw new VeritError('VERIT_CONFIG', { source: 'the environment', field: 'VERIT_WEBHOOK_SECRET', problem })
}

/**
 * The bytes that HMAC signatures of requests are made with (docs/reference/request-signing.md). They are derived from
 * the secret key, so a client needs nothing but its key, and the server can keep them (encrypted) without keeping the
 * key: who has them can sign, but not send the key itself. HKDF: RFC 5869.
 */
import { hkdfSync } from 'node:crypto'

const info = 'verit request signing v1'

/** The 32 bytes of a secret key (`verit_...`, its text in UTF-8): HKDF-SHA-256 with an empty salt. */
export function signingSecret(key: string): Buffer {
  return Buffer.from(hkdfSync('sha256', Buffer.from(key, 'utf8'), Buffer.alloc(0), Buffer.from(info, 'utf8'), 32))
}

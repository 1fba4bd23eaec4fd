/** Who is asking. Every way to fail gives the same answer; a store that fails gives 503, never a way in. */
import type { IncomingMessage } from 'node:http'
import { VeritError } from '../lib/errors.ts'
import type { KeyRecord, KeyStore, Scope } from '../store/key-store.ts'

/**
 * Gives the key's record. The key comes in `Authorization: Bearer KEY`, spelled exactly so, in one header; nowhere else is it looked for.
 * @throws VeritError VERIT_UNAUTHORIZED, VERIT_UNAVAILABLE (the store failed)
 */
export function authenticate(raw: IncomingMessage, store: KeyStore): KeyRecord {
  const header = raw.headers.authorization
  if (header === undefined) throw new VeritError('VERIT_UNAUTHORIZED', { problem: 'the request has none' })
  let record: KeyRecord | undefined
  try {
    record = header.startsWith('Bearer ') ? store.verify(header.slice('Bearer '.length)) : undefined
  } catch (e) {
    throw new VeritError('VERIT_UNAVAILABLE', { what: 'key store' }, e)
  }
  if (record === undefined) throw new VeritError('VERIT_UNAUTHORIZED', { problem: 'the one sent is not valid' })
  return record
}

/** @throws VeritError VERIT_FORBIDDEN */
export function authorize(key: KeyRecord, scope: Scope): void {
  if (!key.scopes.includes(scope)) throw new VeritError('VERIT_FORBIDDEN', { problem: `the key does not have the scope "${scope}"` })
}

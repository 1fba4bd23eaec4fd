/** The keys of the store: which are old, unused, without an end, or more dangerous than they need be. */
import type { KeyRecord } from '../store/key-store.ts'
import { note, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const DAY_MS = 86_400_000
const MOST_DAYS = 180
const UNUSED_DAYS = 30
const NAMED = 5
const REVOKE = 'Revoke what nobody needs: `verit keys revoke ID`'

const daysSince = (time: string, now: number): number => Math.floor((now - Date.parse(time)) / DAY_MS)

/** `3 keys (key_..., key_...)` */
function named(keys: readonly KeyRecord[]): string {
  const ids = keys.slice(0, NAMED).map(k => k.id)
  return `${keys.length} ${keys.length === 1 ? 'key' : 'keys'} (${ids.join(', ')}${keys.length > NAMED ? ', ...' : ''})`
}

export function checkKeys(all: readonly KeyRecord[], now: number): Finding[] {
  const time = new Date(now).toISOString()
  const revoked = all.filter(k => k.revoked !== undefined)
  const expired = all.filter(k => k.revoked === undefined && k.expires !== undefined && k.expires <= time)
  const valid = all.filter(k => !revoked.includes(k) && !expired.includes(k))
  if (valid.length === 0)
    return [
      note(
        'keys',
        all.length === 0 ? 'There are no keys yet' : 'No key is valid any more',
        'Make one with `verit keys create`'
      )
    ]

  const found: Finding[] = []
  const add = (make: typeof warning, check: string, keys: readonly KeyRecord[], says: string, fix: string): void => {
    if (keys.length > 0) found.push(make(check, `${says}: ${named(keys)}`, fix))
  }
  /** When the current secret or public key was created: a rotation resets the age. */
  const made = (k: KeyRecord): string => k.credentials.at(-1)?.created ?? k.created
  add(
    warning,
    'keys.age',
    valid.filter(k => daysSince(made(k), now) > MOST_DAYS),
    `The credential is older than ${MOST_DAYS} days`,
    'Rotate with `verit keys rotate ID`'
  )
  const admins = valid.filter(k => k.scopes.includes('admin'))
  add(
    warning,
    'keys.admin-secret',
    admins.filter(k => k.kind === 'secret' && k.signing !== 'required'),
    'Administration is possible with a text that can be copied',
    'Use a key pair for administration (`verit keys create --kind ed25519 --scope admin --key-file FILE`), and ' +
      'revoke these'
  )
  add(
    note,
    'keys.admin-address',
    admins.filter(k => k.addresses.length === 0),
    'Administration is possible from any address',
    '`verit keys change ID --address ADDRESS`'
  )
  add(
    note,
    'keys.admin-mixed',
    admins.filter(k => k.scopes.some(s => s === 'infer' || s === 'embed')),
    'A key for administration is also one for models',
    'Use two keys'
  )
  add(
    note,
    'keys.unused',
    valid.filter(k => k.lastUsed === undefined && daysSince(k.created, now) > UNUSED_DAYS),
    `Made more than ${UNUSED_DAYS} days ago and never used`,
    REVOKE
  )
  add(
    note,
    'keys.idle',
    valid.filter(k => k.lastUsed !== undefined && daysSince(k.lastUsed, now) > MOST_DAYS),
    `Not used for more than ${MOST_DAYS} days`,
    REVOKE
  )
  add(
    note,
    'keys.no-end',
    valid.filter(k => k.expires === undefined),
    'Without an end',
    '`verit keys change ID --expires 90d`'
  )
  if (revoked.length + expired.length > 0)
    found.push(
      note(
        'keys.over',
        `${revoked.length} revoked and ${expired.length} expired keys are kept for the record, and open nothing`
      )
    )
  if (!found.some(f => f.level === 'warning'))
    found.unshift(
      ok(
        'keys',
        `${valid.length} valid ${valid.length === 1 ? 'key' : 'keys'}, none with a credential older than ` +
          `${MOST_DAYS} days`
      )
    )
  return found
}

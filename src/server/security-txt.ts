/**
 * The text of /.well-known/security.txt (RFC 9116): the contact for vulnerabilities. Its values were checked with the
 * configuration.
 */
import type { ServerConfig } from './config.ts'

const HALF_A_YEAR_MS = 180 * 86_400_000

/** Lines end with CR LF (section 2.2). Undefined if no contact is configured. */
export function securityTxt({ securityTxt: s }: ServerConfig, now = Date.now()): string | undefined {
  if (s.contact.length === 0) return undefined
  // Without a date of the operator's, it moves on with the day: the server still runs, and so the page is still looked
  // after.
  const expires =
    s.expires === ''
      ? `${new Date(now + HALF_A_YEAR_MS).toISOString().slice(0, 10)}T00:00:00Z`
      : new Date(s.expires).toISOString()
  const fields = [
    ...s.contact.map(c => `Contact: ${c}`),
    `Expires: ${expires}`,
    s.canonical && `Canonical: ${s.canonical}`,
    s.policy && `Policy: ${s.policy}`
  ]
  return fields
    .filter(f => f !== '')
    .map(f => `${f}\r\n`)
    .join('')
}

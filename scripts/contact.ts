/**
 * Writes the security contact into SECURITY.md, from src/lib/security-contact.ts: `node scripts/contact.ts`. A test
 * keeps the two equal.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SECURITY_CONTACT } from '../src/lib/security-contact.ts'

export const securityPage = fileURLToPath(new URL('../SECURITY.md', import.meta.url))

const BEGIN = '<!-- Written by scripts/contact.ts: change src/lib/security-contact.ts instead. -->'
const END = '<!-- End of what scripts/contact.ts wrote. -->'

const UNSET = `**This copy of Verit names no contact**, so it is not a release: \`scripts/release.ts\` refuses to run without one.
If you found a vulnerability, look for the contact in SECURITY.md of a release. Publishers of Verit set it in
\`src/lib/security-contact.ts\`.`

const block = (contact: string): string =>
  `${BEGIN}\n${contact === '' ? UNSET : `Report privately to **${contact.replace(/^mailto:/, '')}**.`}\n${END}`

/** The page with this contact. @throws Error where the page has no place for it */
export function withContact(page: string, contact: string = SECURITY_CONTACT): string {
  const from = page.indexOf(BEGIN)
  const to = page.indexOf(END)
  if (from < 0 || to < from) throw new Error('SECURITY.md has no place for the contact')
  return page.slice(0, from) + block(contact) + page.slice(to + END.length)
}

if (import.meta.main) writeFileSync(securityPage, withContact(readFileSync(securityPage, 'utf8')))

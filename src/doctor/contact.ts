/**
 * Whether this copy of Verit names a contact for vulnerabilities. The operator's own contact is a setting
 * (`security_txt.contact`).
 */
import { runsFromSource } from '../lib/package-root.ts'
import { SECURITY_CONTACT, contactProblem } from '../lib/security-contact.ts'
import { note, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const FILL_IN = 'Set it in src/lib/security-contact.ts and run `node scripts/contact.ts`'
const GET_RELEASE = 'Use a release: each names a contact in its SECURITY.md'

/** @param checkout whether Verit runs from its sources: its developers may work without a contact */
export function checkContact(contact: string = SECURITY_CONTACT, checkout: boolean = runsFromSource): Finding {
  const problem = contactProblem(contact)
  if (problem === undefined)
    return ok('contact', `Weaknesses of Verit are reported to ${contact.replace(/^mailto:/, '')}`)
  const says = `This copy of Verit does not say where its weaknesses are reported: ${problem}`
  return checkout ? note('contact', says, FILL_IN) : warning('contact', says, GET_RELEASE)
}

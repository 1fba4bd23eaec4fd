/**
 * The contact for weaknesses of Verit. Maintainers set it here and nowhere else: SECURITY.md (`node
 * scripts/contact.ts`), the package.json of a release and `verit doctor` read it from here, and `scripts/release.ts`
 * makes no release while it is empty. The operator of a server has another contact: `security_txt.contact`.
 */

/** A `mailto:` or `https:` URI that a person reads. Empty: not set yet. */
export const SECURITY_CONTACT: string = ''

const FORM = /^(mailto:[^\s@?]+@[^\s@?]+\.[^\s@?]+|https:\/\/\S+)$/
/** Names that belong to nobody: RFC 2606 and RFC 6761. */
const RESERVED = /(^|\.)(example|invalid|test|localhost)$|(^|\.)example\.(com|net|org)$/i

/** The problem of a contact, as a clause. Undefined if it is usable. */
export function contactProblem(contact: string): string | undefined {
  if (contact === '') return 'no security contact is set'
  const url = URL.parse(contact)
  if (url === null || !FORM.test(contact))
    return `${JSON.stringify(contact)} is neither a mailto: address nor an https: URL`
  const host = url.protocol === 'mailto:' ? contact.slice(contact.lastIndexOf('@') + 1) : url.hostname
  return RESERVED.test(host) ? `${contact} is an example, which nobody reads` : undefined
}

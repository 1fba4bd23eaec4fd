/**
 * Base64 (RFC 4648, section 4) in its canonical form only: one text for each value, so that no signed bytes have a
 * second spelling.
 */

/**
 * The bytes; undefined for anything but the canonical text, such as one whose unused trailing bits are set (section
 * 3.5).
 */
export function strictBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

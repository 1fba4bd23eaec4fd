/**
 * Request targets in absolute form: `GET http://host/path`. A server must accept them (RFC 9112 section 3.2.2), so they
 * become the path alone before anything else reads the target. The standard says to ignore Host then. Verit accepts
 * such a target only if both name the same server, so that two programs cannot read two servers from one request; any
 * other is refused with the shape of the request.
 */
import type { IncomingMessage } from 'node:http'

/** No user part: RFC 9110 section 4.2.4. */
const ABSOLUTE = /^https?:\/\/([^/?#@]+)(\/[^?#]*)?$/i

export function toOriginForm(raw: IncomingMessage): void {
  const match = ABSOLUTE.exec(raw.url ?? '')
  if (match === null) return
  const [, authority, path = '/'] = match
  const { host } = raw.headers
  if (host === undefined && raw.httpVersion === '1.0') raw.headers.host = authority
  else if (host?.toLowerCase() !== authority!.toLowerCase()) return
  raw.url = path
}

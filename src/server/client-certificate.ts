/**
 * Client certificates. If authorities are configured, a certificate is requested: an invalid one ends the connection; a
 * missing one does only if the operator requires one. A valid certificate proves the key with its fingerprint.
 */
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

interface Seen {
  readonly fingerprint: string
  readonly expires: number
}

const verified = new WeakMap<TLSSocket, Seen>()

/** To be asked once of each connection, after its handshake: why it must end, or undefined. */
export function refuseCertificate(socket: TLSSocket, required: boolean): string | undefined {
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return required ? 'no certificate' : undefined
  if (!socket.authorized) return String(socket.authorizationError)
  const fingerprint = createHash('sha256').update(certificate.raw).digest('hex')
  verified.set(socket, { fingerprint, expires: certificate.validToDate.getTime() })
  return undefined
}

/**
 * SHA-256, hexadecimal, of the DER of this connection's valid client certificate; undefined: none, or it has expired.
 * @param now the time of the store, which does not go back
 */
export function clientCertificate(socket: Socket, now = new Date()): { fingerprint: string } | undefined {
  const seen = socket instanceof TLSSocket ? verified.get(socket) : undefined
  return seen === undefined || seen.expires <= now.getTime() ? undefined : { fingerprint: seen.fingerprint }
}

/**
 * X.509 certificates (RFC 5280) made on the spot, on P-256: authorities, servers, clients, of any time and purpose.
 * Enough DER for that and no more.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { isIP } from 'node:net'

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
  readonly der: Buffer
  readonly privateKey: KeyObject
  readonly subject: string
  /** SHA-256 of the DER, hexadecimal. */
  readonly fingerprint: string
}

export interface CertificateOptions {
  subject: string
  /** Default: itself. */
  issuer?: Certificate
  /** Default: no purpose is named. */
  purpose?: 'ca' | 'server' | 'client'
  /** DNS names and addresses. */
  names?: readonly string[]
  from?: Date
  to?: Date
}

const tlv = (tag: number, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const n = body.length
  const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}
const sequence = (...parts: Uint8Array[]): Buffer => tlv(0x30, ...parts)
const oid = (...bytes: number[]): Buffer => tlv(0x06, Buffer.from(bytes))
const octets = (...parts: Uint8Array[]): Buffer => tlv(0x04, ...parts)
const TRUE = Buffer.from([1, 1, 0xff])
const ECDSA_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2))

const name = (text: string): Buffer => sequence(tlv(0x31, sequence(oid(0x55, 4, 3), tlv(0x0c, Buffer.from(text)))))
/** GeneralizedTime everywhere: OpenSSL takes it for years before 2050, too. */
const time = (date: Date): Buffer => tlv(0x18, Buffer.from(`${date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')}`))
const extension = (last: number, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(0x55, 0x1d, last), ...(critical ? [TRUE] : []), octets(value))
const keyPurpose = (last: number): Buffer => sequence(oid(0x2b, 6, 1, 5, 5, 7, 3, last))
const alternative = (text: string): Buffer =>
  isIP(text) === 4 ? tlv(0x87, Buffer.from(text.split('.').map(Number))) : tlv(0x82, Buffer.from(text))

export function makeCertificate({ subject, issuer, purpose, names = [], from, to }: CertificateOptions): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const day = 86_400_000
  const extensions = [
    extension(0x13, true, purpose === 'ca' ? sequence(TRUE) : sequence()),
    ...(purpose === 'server' || purpose === 'client'
      ? [extension(0x25, false, keyPurpose(purpose === 'server' ? 1 : 2))]
      : []),
    ...(names.length > 0 ? [extension(0x11, false, sequence(...names.map(alternative)))] : [])
  ]
  const body = sequence(
    tlv(0xa0, Buffer.from([2, 1, 2])),
    tlv(0x02, Buffer.from([1]), randomBytes(8)),
    ECDSA_SHA256,
    name(issuer?.subject ?? subject),
    sequence(time(from ?? new Date(Date.now() - day)), time(to ?? new Date(Date.now() + 90 * day))),
    name(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions))
  )
  const der = sequence(
    body,
    ECDSA_SHA256,
    tlv(0x03, Buffer.from([0]), sign('sha256', body, issuer?.privateKey ?? privateKey))
  )
  const cert = `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd()}\n-----END CERTIFICATE-----\n`
  return {
    cert,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    der,
    privateKey,
    subject,
    fingerprint: createHash('sha256').update(der).digest('hex')
  }
}

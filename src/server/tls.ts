/**
 * TLS from files, read and validated as a whole before use. 1.2 and 1.3 only, authenticated encryption with forward
 * secrecy only (RFC 9325), HTTP/1.1 only. A key that others can read, a mismatched pair and an expired or future
 * certificate are refused.
 */
import { X509Certificate, constants, createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import { VeritError } from '../lib/errors.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import type { ServerConfig } from './config.ts'

export type TlsFiles = Pick<ServerConfig['listen'], 'tlsCert' | 'tlsKey' | 'tlsClientCa'>

export interface TlsMaterial {
  readonly cert: string
  readonly key: string
  /** Authorities of client certificates. */
  readonly ca: string | undefined
  /** ms since 1970 at which the first of the certificate and those it came with expires. */
  readonly expires: number
}

const MOST_BYTES = 256 << 10
const MOST_CERTIFICATES = 128
const HANDSHAKE_MS = 10_000
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305'
].join(':')

/** Reads and checks the files. @throws VeritError VERIT_CONFIG */
export function readTls(files: TlsFiles, now = Date.now()): TlsMaterial {
  const cert = readPem(files.tlsCert, 'listen.tls_cert')
  const chain = certificates(cert, files.tlsCert, 'listen.tls_cert', now)
  const key = readPem(files.tlsKey, 'listen.tls_key')
  const fail = (field: string, source: string, problem: string, cause?: unknown): never => {
    throw new VeritError('VERIT_CONFIG', { source, field, problem }, cause)
  }
  let privateKey
  try {
    privateKey = createPrivateKey(key)
  } catch (e) {
    return fail(
      'listen.tls_key',
      files.tlsKey,
      /ENCRYPTED/.test(key)
        ? 'is encrypted: give it without a passphrase, readable by its owner only'
        : 'holds no private key in PEM form',
      e
    )
  }
  if (!chain[0]!.checkPrivateKey(privateKey))
    fail('listen.tls_key', files.tlsKey, `is not the key of the certificate in ${files.tlsCert}`)
  let ca: string | undefined
  if (files.tlsClientCa !== '') {
    ca = readPem(files.tlsClientCa, 'listen.tls_client_ca')
    const authorities = certificates(ca, files.tlsClientCa, 'listen.tls_client_ca', now)
    if (!authorities.every(c => c.ca))
      fail('listen.tls_client_ca', files.tlsClientCa, 'holds a certificate that is no authority (CA:TRUE)')
  }
  try {
    createSecureContext({ cert, key, ciphers: CIPHERS, ...(ca !== undefined && { ca }) })
  } catch (e) {
    fail(
      'listen.tls_cert',
      files.tlsCert,
      `is refused by OpenSSL: ${e instanceof Error ? e.message.replace(/^error:[0-9A-F]+:/, '') : ''}`,
      e
    )
  }
  return { cert, key, ca, expires: Math.min(...chain.map(c => c.validToDate.getTime())) }
}

/** @param required whether a client must have a certificate */
export function tlsOptions({ cert, key, ca }: TlsMaterial): TlsOptions {
  // A resumed session is not verified again, and in TLS 1.3 counts as verified even if it was not: with client
  // certificates there is no resumption.
  const secureOptions =
    constants.SSL_OP_NO_RENEGOTIATION |
    constants.SSL_OP_CIPHER_SERVER_PREFERENCE |
    (ca === undefined ? 0 : constants.SSL_OP_NO_TICKET)
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    secureOptions,
    ALPNProtocols: ['http/1.1'],
    handshakeTimeout: HANDSHAKE_MS,
    // ClientCertificates decides on clients without a certificate, so that the reason can be logged.
    ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: false })
  }
}

const digits = (n: number): string => n.toLocaleString('en-US')

function readPem(path: string, field: string): string {
  const refused = (problem: string): VeritError => new VeritError('VERIT_CONFIG', { source: path, field, problem })
  return readTrusted(path, {
    kind: field === 'listen.tls_key' ? 'secret' : 'decides',
    purpose: field,
    limit: MOST_BYTES,
    refuse: ({ problem, command }) => refused(`${problem}: run ${command}`),
    tooLong: size => refused(`has ${digits(size)} bytes, more than ${digits(MOST_BYTES)}`)
  }).toString('latin1')
}

/** The certificates of a PEM file, each within its time. */
function certificates(pem: string, source: string, field: string, now: number): X509Certificate[] {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_CONFIG', { source, field, problem })
  }
  const found = pem.match(PEM) ?? []
  if (found.length === 0) refuse('holds no certificate in PEM form')
  if (found.length > MOST_CERTIFICATES) refuse(`holds more than ${MOST_CERTIFICATES} certificates`)
  return found.map((text, i) => {
    const which = found.length === 1 ? 'the certificate in it' : `certificate ${i + 1} in it`
    let parsed: X509Certificate
    try {
      parsed = new X509Certificate(text)
    } catch {
      return refuse(`cannot be used: ${which} is damaged`)
    }
    if (parsed.validToDate.getTime() <= now)
      refuse(`cannot be used: ${which} expired on ${parsed.validToDate.toISOString()}`)
    if (parsed.validFromDate.getTime() > now)
      refuse(`cannot be used: ${which} is not valid before ${parsed.validFromDate.toISOString()}`)
    return parsed
  })
}

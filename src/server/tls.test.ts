import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makeCertificate } from '../../test/certificates.ts'
import { VeritError } from '../lib/errors.ts'
import { readTls } from './tls.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-tls-'))
after(() => rmSync(dir, { recursive: true }))
let n = 0
const write = (text: string, mode = 0o600): string => {
  const path = join(dir, `${n++}.pem`)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}
const DAY = 86_400_000
const authority = makeCertificate({ subject: 'authority', purpose: 'ca' })
const good = makeCertificate({ subject: 'server', issuer: authority, purpose: 'server' })
const cert = write(good.cert + authority.cert)
const key = write(good.key)
const files = (change: { tlsCert?: string; tlsKey?: string; tlsClientCa?: string } = {}) => ({
  tlsCert: cert,
  tlsKey: key,
  tlsClientCa: '',
  ...change
})
const refused =
  (pattern: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, 'VERIT_CONFIG') && pattern.test(e.what)

test('a pair with its chain is read; it expires with the first of its certificates', () => {
  const { expires, ca } = readTls(files({ tlsClientCa: write(authority.cert) }))
  assert.ok(expires > Date.now() + 89 * DAY && expires < Date.now() + 91 * DAY)
  assert.equal(ca, authority.cert)
  const short = makeCertificate({ subject: 'intermediate', purpose: 'ca', to: new Date(Date.now() + DAY) })
  assert.ok(readTls(files({ tlsCert: write(good.cert + short.cert) })).expires < Date.now() + 2 * DAY)
})

test('certificate files that are mismatched, damaged or expired are refused by name and reason', () => {
  const old = makeCertificate({ subject: 'old', purpose: 'server', to: new Date(Date.now() - 1000) })
  const early = makeCertificate({ subject: 'early', purpose: 'server', from: new Date(Date.now() + DAY) })
  const encrypted = createPrivateKey(good.key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x'
  }) as string
  for (const [change, pattern] of [
    [{ tlsKey: write(authority.key) }, /listen\.tls_key is not the key of the certificate/],
    [{ tlsCert: write(authority.cert + good.cert) }, /is not the key of the certificate/],
    [
      { tlsCert: write(old.cert), tlsKey: write(old.key) },
      /listen\.tls_cert cannot be used: the certificate in it expired on 20/
    ],
    [{ tlsCert: write(early.cert), tlsKey: write(early.key) }, /is not valid before 20/],
    [{ tlsCert: write(good.cert + old.cert) }, /certificate 2 in it expired/],
    [{ tlsKey: write(encrypted) }, /is encrypted/],
    [{ tlsKey: write('nothing') }, /holds no private key/],
    [{ tlsKey: cert }, /holds no private key/],
    [{ tlsCert: key }, /holds no certificate/],
    [{ tlsCert: write('') }, /holds no certificate/],
    [{ tlsCert: write(good.cert.replace(/[A-Za-z0-9]{20}/, 'AAAAAAAAAAAAAAAAAAAA')) }, /is damaged/],
    [{ tlsCert: write(good.cert.repeat(129)) }, /more than 128 certificates/],
    [{ tlsCert: write('x'.repeat((256 << 10) + 1)) }, /more than 262,144/],
    [{ tlsClientCa: write(good.cert) }, /is no authority/],
    [{ tlsClientCa: key }, /listen\.tls_client_ca holds no certificate/]
  ] as const) {
    assert.throws(() => readTls(files(change)), refused(pattern), String(pattern))
  }
  assert.throws(
    () => readTls(files({ tlsKey: join(dir, 'absent') })),
    (e: unknown) => VeritError.is(e, 'VERIT_FILE_NOT_FOUND')
  )
  assert.throws(
    () => readTls(files({ tlsKey: dir })),
    (e: unknown) => VeritError.is(e, 'VERIT_FILE_KIND')
  )
})

test(
  'a key that others can use, and a certificate that others can change, are refused',
  { skip: process.platform === 'win32' },
  () => {
    for (const mode of [0o640, 0o604, 0o602, 0o610])
      assert.throws(
        () => readTls(files({ tlsKey: write(good.key, mode) })),
        refused(/tls_key can be used by others/),
        mode.toString(8)
      )
    assert.throws(
      () => readTls(files({ tlsCert: write(good.cert, 0o664) })),
      refused(/tls_cert can be changed by others/)
    )
    assert.ok(readTls(files({ tlsCert: write(good.cert, 0o644), tlsKey: write(good.key, 0o400) })))
  }
)

test('no text of a key is in the message of an error', () => {
  const mixed = write(`${good.key}garbage`.replace('BEGIN', 'BEGUN'))
  assert.throws(
    () => readTls(files({ tlsKey: mixed })),
    (e: unknown) => !JSON.stringify([(e as Error).message, (e as VeritError).fields]).includes(good.key.slice(60, 90))
  )
})

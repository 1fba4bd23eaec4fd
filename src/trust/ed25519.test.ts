import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { ed25519FromSpki, ed25519FromText, ed25519ToSpki, fingerprint } from './ed25519.ts'

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const spki = ed25519ToSpki(publicKey)
const refused = (f: () => unknown): void => assert.throws(f, e => VeritError.is(e, 'VERIT_PUBLIC_KEY'))
const weakKeys = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'
].map(hex => Buffer.from(hex, 'hex'))

test('a public key goes to DER SPKI and back, from either half', () => {
  assert.equal(spki.length, 44)
  assert.ok(ed25519FromSpki(spki).equals(publicKey))
  assert.deepEqual(ed25519ToSpki(privateKey), spki)
  assert.equal(fingerprint(spki), createHash('sha256').update(spki).digest('hex'))
})

test('keys of other types, lengths and forms are refused', () => {
  refused(() => ed25519ToSpki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey))
  refused(() => ed25519ToSpki(generateKeyPairSync('x25519').publicKey))
  refused(() => ed25519FromSpki(generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' })))
  refused(() => ed25519FromSpki(spki.subarray(0, 43)))
  refused(() => ed25519FromSpki(Buffer.concat([spki, Buffer.alloc(1)])))
  refused(() => ed25519FromSpki(Buffer.alloc(0)))
})

test('points of small order, under which one signature can fit many messages, are refused with both signs', () => {
  for (const weak of weakKeys) {
    for (const sign of [0, 0x80]) {
      const raw = Buffer.from(weak)
      raw[31]! |= sign
      refused(() => ed25519FromSpki(Buffer.concat([spki.subarray(0, 12), raw])))
    }
  }
})

test('a public key is read from PEM, base64 of the DER, and base64 of the 32 bytes; nothing else', () => {
  const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  for (const text of [pem, `\n${pem}\n`, spki.toString('base64'), spki.subarray(12).toString('base64')])
    assert.deepEqual(ed25519FromText(text), spki)
  for (const text of [
    '',
    'abc',
    privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    spki.toString('hex'),
    `${spki.toString('base64')}=`,
    `${pem}${pem}`
  ]) {
    refused(() => ed25519FromText(text))
  }
})

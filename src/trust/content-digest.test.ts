import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { requestBody, requestDigest, responseBody, responseDigest } from '../../test/vectors/rfc9421.ts'
import { checkContentDigest, contentDigest, parseContentDigest } from './content-digest.ts'

const refused = (value: string, body = ''): void =>
  assert.throws(
    () => checkContentDigest(value, Buffer.from(body)),
    e => VeritError.is(e, 'VERIT_SIGNATURE')
  )
const accepted = (value: string, body: string): void => checkContentDigest(value, Buffer.from(body))

/** RFC 9530, appendices B and D: the body ends with a line feed there. */
const hello = '{"hello": "world"}\n'
const sha256 = 'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:'
const sha512 = 'sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:'
const legacy = [
  'md5=:Sd/dVLAcvNLSq16eXua5uQ==:',
  'sha=:07CavjDP4u3/TungoUHJO/Wzr4c=:',
  'unixsum=:GQU=:',
  'unixcksum=:7zsHAA==:',
  'adler=:OZkGFw==:',
  'crc32c=:Q3lHIA==:'
]

test('the samples of RFC 9530 and RFC 9421 are made and accepted', () => {
  assert.equal(contentDigest(Buffer.from(hello)), sha256)
  assert.equal(contentDigest(Buffer.from(hello), 'sha-512'), sha512)
  assert.equal(contentDigest(Buffer.from(requestBody)), 'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:')
  assert.equal(contentDigest(Buffer.alloc(0)), 'sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:')
  for (const value of [sha256, sha512, `${sha256}, ${sha512}`]) accepted(value, hello)
  accepted(requestDigest, requestBody)
  accepted(responseDigest, responseBody)
})

test('legacy algorithms are never trusted, and ignored beside one that is', () => {
  for (const value of legacy) {
    refused(value, hello)
    accepted(`${value}, ${sha256}`, hello)
    refused(`${value}, ${sha256}`, requestBody)
  }
})

test('every trusted digest must be right', () => {
  refused(`${sha256}, ${contentDigest(Buffer.from('other'), 'sha-512')}`, hello)
  refused(`${contentDigest(Buffer.from('other'))}, ${sha512}`, hello)
})

test('values that are not canonical, bounded dictionaries of byte sequences are refused', () => {
  const b64 = sha256.slice(9, -1)
  for (const value of [
    '',
    ' ',
    'sha-256',
    'sha-256=?1',
    `sha-256="${b64}"`,
    `sha-256=${b64}`,
    `sha-256=:${b64}`,
    `sha-256=:${b64.slice(0, -1)}:`,
    `SHA-256=:${b64}:`,
    `${sha256},${sha512}`,
    ` ${sha256}`,
    `${sha256} `,
    `${sha256},`,
    `${sha256}, ${sha256}`,
    `${sha256};a`,
    `sha-256=:${b64.replace('Dg=', 'Dh=')}:`,
    'sha-256=::',
    'sha-512=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:',
    `sha-256=(:${b64}:)`,
    `other=1, ${sha256}`,
    `${sha256}, x=:${'A'.repeat(1000)}:`
  ])
    refused(value, hello)
})

test('a digest fits its body and no other', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom('sha-256' as const, 'sha-512' as const),
      (a, b, algorithm) => {
        const value = contentDigest(a, algorithm)
        assert.equal(parseContentDigest(value).size, 1)
        checkContentDigest(value, a)
        if (!Buffer.from(a).equals(b)) assert.throws(() => checkContentDigest(value, b))
      }
    ),
    { numRuns: 200 }
  )
})

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { contentDigest } from './content-digest.ts'
import type { RequestBinding } from './request-profile.ts'
import { serverKeyId, signResponse, verifyResponse } from './response-profile.ts'
import type { SignedResponse } from './response-profile.ts'
import { STREAM_END_BYTES, StreamChecker, StreamSigner } from './stream-signature.ts'

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const key = { keyId: serverKeyId(publicKey), privateKey }
const other = generateKeyPairSync('ed25519')
const body = Buffer.from('{"ok":true}')
const request: RequestBinding = {
  method: 'POST',
  authority: 'verit.example',
  path: '/v1/completions',
  contentDigest: contentDigest(Buffer.from('{}')),
  signature: Buffer.alloc(64, 7)
}
const json = { 'content-type': 'application/json' }
const events = { 'content-type': 'text/event-stream; charset=utf-8' }
const lines = (...headers: Record<string, string>[]): [string, string][] =>
  Object.entries(Object.assign({}, ...headers))
const refused = (f: () => unknown, problem?: RegExp): void =>
  assert.throws(f, e => VeritError.is(e, 'VERIT_SIGNATURE') && (problem === undefined || problem.test(e.message)))

test('a whole answer holds for its request, whichever parts that had', () => {
  const requests = [
    request,
    { ...request, signature: undefined },
    { ...request, contentDigest: undefined },
    { ...request, signature: undefined, contentDigest: undefined }
  ]
  for (const asked of requests) {
    const signed = signResponse({ status: 200, headers: json, body }, asked, key)
    const headers = lines(json, signed.headers)
    assert.equal(verifyResponse({ status: 200, headers, body }, asked, publicKey).contentDigest, contentDigest(body))
    for (const another of requests)
      if (another !== asked) refused(() => verifyResponse({ status: 200, headers, body }, another, publicKey), /cover/)
  }
  const empty = signResponse({ status: 204, headers: {}, body: Buffer.alloc(0) }, request, key)
  verifyResponse({ status: 204, headers: lines(empty.headers), body: Buffer.alloc(0) }, request, publicKey)
})

test('an answer holds for no other request, status, type, body or key', () => {
  const signed = signResponse({ status: 200, headers: json, body }, request, key)
  const headers = lines(json, signed.headers)
  const changed: Partial<RequestBinding>[] = [
    { method: 'GET' },
    { authority: 'other.example' },
    { path: '/v1/models' },
    { contentDigest: contentDigest(body) },
    { signature: Buffer.alloc(64, 8) }
  ]
  for (const change of changed)
    refused(() => verifyResponse({ status: 200, headers, body }, { ...request, ...change }, publicKey), /does not fit/)
  refused(() => verifyResponse({ status: 201, headers, body }, request, publicKey), /does not fit/)
  refused(
    () =>
      verifyResponse(
        { status: 200, headers: lines(signed.headers, { 'content-type': 'text/plain' }), body },
        request,
        publicKey
      ),
    /does not fit/
  )
  refused(() => verifyResponse({ status: 200, headers: lines(signed.headers), body }, request, publicKey), /cover/)
  refused(() => verifyResponse({ status: 200, headers, body: Buffer.from('{}') }, request, publicKey), /sha-256/)
  refused(
    () =>
      verifyResponse(
        { status: 200, headers: lines(json, signed.headers, { 'content-digest': contentDigest(Buffer.from('{}')) }) },
        request,
        publicKey
      ),
    /does not fit/
  )
  refused(() => verifyResponse({ status: 200, headers, body }, request, other.publicKey), /expected server key/)
  const forged = signResponse({ status: 200, headers: json, body }, request, {
    keyId: key.keyId,
    privateKey: other.privateKey
  })
  refused(
    () => verifyResponse({ status: 200, headers: lines(json, forged.headers), body }, request, publicKey),
    /does not fit/
  )
  refused(() => verifyResponse({ status: 200, headers: lines(json), body }, request, publicKey), /no signature-input/)
})

test('an answer to an unsigned request must be new', () => {
  const asked = { ...request, signature: undefined }
  const signed = signResponse({ status: 200, headers: json, body }, asked, key, 1_000_000)
  const headers = lines(json, signed.headers)
  verifyResponse({ status: 200, headers, body }, asked, publicKey, 1_000_300)
  refused(() => verifyResponse({ status: 200, headers, body }, asked, publicKey, 1_000_301), /301 s from now/)
})

test('a whole answer cannot be passed off as a stream, nor a stream as a whole answer', () => {
  const whole = signResponse({ status: 200, headers: events, body }, request, key)
  const { 'content-digest': _, ...bare } = whole.headers
  refused(() => verifyResponse({ status: 200, headers: lines(events, bare) }, request, publicKey), /cover/)
  const stream = signResponse({ status: 200, headers: events }, request, key)
  refused(
    () =>
      verifyResponse(
        { status: 200, headers: lines(events, stream.headers, { 'content-digest': contentDigest(body) }) },
        request,
        publicKey
      ),
    /cover/
  )
  refused(
    () => verifyResponse({ status: 200, headers: lines(events, stream.headers), body }, request, publicKey),
    /no content-digest/
  )
  refused(
    () => verifyResponse({ status: 200, headers: lines(json, stream.headers) }, request, publicKey),
    /no content-digest/
  )
  assert.throws(() => signResponse({ status: 200, headers: json }, request, key))
})

const stream = (texts: string[], head: SignedResponse): Buffer => {
  const signer = new StreamSigner(head.signature, privateKey)
  for (const text of texts) signer.update(text)
  const end = signer.end()
  assert.equal(end.length, STREAM_END_BYTES)
  return Buffer.from(texts.join('') + end)
}
const check = (chunks: Uint8Array[], signature: Uint8Array): string => {
  const checker = new StreamChecker(signature, publicKey)
  const text = chunks.map(chunk => checker.push(chunk).toString('latin1')).join('')
  checker.end()
  return Buffer.from(text, 'latin1').toString()
}
const cut = (bytes: Buffer, at: number[]): Buffer[] => {
  const places = [0, ...at.map(a => a % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return places.slice(1).map((to, i) => bytes.subarray(places[i], to))
}
const piece = fc.constantFrom(
  'data: {"a":1}\n\n',
  ': keep alive\n\n',
  ': verit-',
  ': verit-en',
  '\n',
  '\n\n',
  'x',
  ': ',
  'é',
  'data: : verit-end \n\n',
  ''
)

test('a stream comes through whole, without its end, however it is cut into chunks', () => {
  const head = signResponse({ status: 200, headers: events }, request, key)
  assert.equal(
    verifyResponse({ status: 200, headers: lines(events, head.headers) }, request, publicKey).contentDigest,
    undefined
  )
  fc.assert(
    fc.property(fc.array(piece), fc.array(fc.nat(), { maxLength: 20 }), (texts, at) => {
      const sent = [...texts, '\n']
      assert.equal(check(cut(stream(sent, head), at), head.signature), sent.join(''))
    }),
    { numRuns: 300 }
  )
})

test('nothing but what may be the start of the end is held back', () => {
  const head = signResponse({ status: 200, headers: events }, request, key)
  const checker = new StreamChecker(head.signature, publicKey)
  assert.equal(checker.push(Buffer.from('data: 1\n\n')).toString(), 'data: 1\n\n')
  assert.equal(checker.push(Buffer.from(': verit-')).toString(), '')
  assert.equal(checker.push(Buffer.from('x\n\ndata')).toString(), ': verit-x\n\ndata')
})

test('the signature at the end of a stream has one spelling', () => {
  const head = signResponse({ status: 200, headers: events }, request, key)
  const text = stream(['data: 1\n\n'], head).toString('latin1')
  // 64 bytes leave 4 unused bits in the last of 86 digits: 15 other digits stand for the same bytes.
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const last = text.length - '==\n\n'.length - 1
  for (const digit of digits) {
    const changed = Buffer.from(`${text.slice(0, last)}${digit}${text.slice(last + 1)}`, 'latin1')
    if (digit === text[last]) check([changed], head.signature)
    else refused(() => check([changed], head.signature), /does not fit/)
  }
})

test('a stream that is cut short, changed, continued, or has the end of another is refused', () => {
  const head = signResponse({ status: 200, headers: events }, request, key)
  const bytes = stream(['data: 1\n\n', 'data: [DONE]\n\n'], head)
  fc.assert(
    fc.property(fc.nat(), n => {
      refused(() => check([bytes.subarray(0, n % bytes.length)], head.signature))
      const changed = Buffer.from(bytes)
      changed[n % bytes.length]! ^= 1 + (n % 127)
      refused(() => check([changed], head.signature))
    }),
    { numRuns: 300 }
  )
  refused(() => check([bytes, Buffer.from('data: 2\n\n')], head.signature), /goes on/)
  refused(() => check([Buffer.concat([bytes, bytes])], head.signature), /goes on/)
  refused(
    () => check([bytes], signResponse({ status: 200, headers: events }, { ...request, path: '/x' }, key).signature),
    /does not fit/
  )
  const another = stream(['data: 2\n\n'], head)
  refused(
    () => check([bytes.subarray(0, -STREAM_END_BYTES), another.subarray(-STREAM_END_BYTES)], head.signature),
    /digest/
  )
  refused(() => check([], head.signature), /cut short/)
})

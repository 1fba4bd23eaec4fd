import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { checkContentDigest, contentDigest } from './content-digest.ts'
import { ed25519ToSpki } from './ed25519.ts'
import { checkCreated, readRequestSignature, signRequest, verifyRequestSignature } from './request-profile.ts'
import type { RequestSignature, RequestToSign, Signer } from './request-profile.ts'
import { signingSecret } from './signing-secret.ts'

const keyId = 'key_0123456789ab.1'
const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const credentials = {
  ed25519: { publicKey: ed25519ToSpki(publicKey), signingSecret: undefined },
  'hmac-sha256': { publicKey: undefined, signingSecret: signingSecret('verit_test') }
}
const signers: Record<'ed25519' | 'hmac-sha256', Signer> = {
  ed25519: { alg: 'ed25519', keyId, privateKey },
  'hmac-sha256': { alg: 'hmac-sha256', keyId, secret: signingSecret('verit_test') }
}
const algorithms = ['ed25519', 'hmac-sha256'] as const

/** A request as the server sees it. */
interface Sent {
  method: string
  authority: string
  path: string
  hasBody: boolean
  fields: Record<string, string>
}
const body = Buffer.from('{"model":"default"}')
const withBody: RequestToSign = {
  method: 'POST',
  authority: 'verit.example:8081',
  path: '/v1/completions',
  headers: { 'content-type': 'application/json' },
  body
}
const withoutBody: RequestToSign = { method: 'GET', authority: 'verit.example:8081', path: '/v1/models', headers: {} }

function send(request: RequestToSign, signer: Signer): Sent {
  const { method, authority, path, headers } = request
  return {
    method,
    authority,
    path,
    hasBody: request.body !== undefined,
    fields: { accept: '*/*', ...headers, ...signRequest(request, signer).headers }
  }
}
const read = (sent: Sent): RequestSignature =>
  readRequestSignature(Object.entries(sent.fields).flat(), sent.method, sent.authority, sent.path, sent.hasBody)
const refused = (f: () => unknown, problem?: RegExp): void =>
  assert.throws(f, e => VeritError.is(e, 'VERIT_SIGNATURE') && (problem === undefined || problem.test(e.message)))

test('a signed request is read and holds under its credential, with and without a body', () => {
  for (const alg of algorithms) {
    for (const request of [withBody, withoutBody]) {
      const got = read(send(request, signers[alg]))
      assert.equal(got.keyId, keyId)
      assert.equal(got.alg, alg)
      assert.match(got.nonce, /^[A-Za-z0-9_-]{43}$/)
      assert.ok(verifyRequestSignature(got, credentials[alg]))
      checkCreated(got.created, 5)
      if (request.body !== undefined) checkContentDigest(got.contentDigest!, request.body)
    }
  }
})

test('a signature for one kind of credential never holds for another', () => {
  for (const alg of algorithms) {
    const got = read(send(withBody, signers[alg]))
    assert.ok(!verifyRequestSignature(got, credentials[alg === 'ed25519' ? 'hmac-sha256' : 'ed25519']))
    assert.ok(!verifyRequestSignature(got, { publicKey: undefined, signingSecret: undefined }))
    const renamed = { ...got, alg: alg === 'ed25519' ? ('hmac-sha256' as const) : ('ed25519' as const) }
    assert.ok(!verifyRequestSignature(renamed, credentials[alg]))
  }
  // the public key as an HMAC secret, which anybody could use
  const spki = credentials.ed25519.publicKey
  assert.ok(
    !verifyRequestSignature(read(send(withBody, { alg: 'hmac-sha256', keyId, secret: spki })), credentials.ed25519)
  )
  const other = ed25519ToSpki(generateKeyPairSync('ed25519').publicKey)
  assert.ok(
    !verifyRequestSignature(read(send(withBody, signers.ed25519)), { publicKey: other, signingSecret: undefined })
  )
})

test('a change of any covered component, parameter, label or byte of the signature makes it fail', () => {
  const holds = (sent: Sent, alg: 'ed25519' | 'hmac-sha256', text: Uint8Array): boolean => {
    try {
      const got = read(sent)
      if (got.contentDigest !== undefined) checkContentDigest(got.contentDigest, text)
      return verifyRequestSignature(got, credentials[alg])
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_SIGNATURE')) throw e
      return false
    }
  }
  const change = (value: string, at: number, by: number): string => {
    const i = at % value.length
    const c = String.fromCharCode(0x20 + ((value.charCodeAt(i) - 0x20 + by) % 95))
    return value.slice(0, i) + c + value.slice(i + 1)
  }
  const where = fc.constantFrom(
    'method',
    'path',
    'authority',
    'content-type',
    'content-digest',
    'signature-input',
    'signature',
    'body'
  )
  fc.assert(
    fc.property(
      fc.constantFrom(...algorithms),
      fc.boolean(),
      where,
      fc.nat(),
      fc.integer({ min: 1, max: 94 }),
      (alg, hasBody, place, at, by) => {
        const sent = send(hasBody ? withBody : withoutBody, signers[alg])
        assert.ok(holds(sent, alg, body))
        let text = body
        if (place === 'body') {
          text = Buffer.from(change(body.toString(), at, by))
          if (!hasBody) return
        } else if (place === 'method' || place === 'path') {
          sent[place] = change(sent[place], at, by)
        } else if (place === 'authority') {
          sent.authority = change(sent.authority, at, by)
          if (sent.authority.toLowerCase() === 'verit.example:8081') return
        } else if (sent.fields[place] === undefined) {
          return
        } else {
          sent.fields[place] = change(sent.fields[place], at, by)
          // white space around a value is not part of it
          if (place === 'content-type' && sent.fields[place].trim() === 'application/json') return
        }
        assert.ok(
          !holds(sent, alg, text),
          `${place} was changed to ${JSON.stringify(place === 'body' ? text.toString() : sent)}`
        )
      }
    ),
    { numRuns: 1000 }
  )
})

test('covered fields and signatures that are there twice or under another label are refused', () => {
  for (const name of ['content-type', 'content-digest', 'signature', 'signature-input']) {
    const sent = send(withBody, signers.ed25519)
    refused(
      () => read({ ...sent, fields: { ...sent.fields, [name.toUpperCase()]: sent.fields[name]! } }),
      /there are 2/
    )
    const { [name]: _, ...fields } = sent.fields
    refused(() => read({ ...sent, fields }))
  }
  const sent = send(withoutBody, signers.ed25519)
  const relabel = (text: string): string => text.replace(/^verit=/, 'other=')
  refused(
    () =>
      read({
        ...sent,
        fields: {
          signature: relabel(sent.fields['signature']!),
          'signature-input': relabel(sent.fields['signature-input']!)
        }
      }),
    /label/
  )
})

test('each deviation from the profile is refused by name', () => {
  const sent = send(withoutBody, signers['hmac-sha256'])
  const edit = (from: string | RegExp, to: string) => (): unknown => {
    const input = sent.fields['signature-input']!.replace(from, to)
    assert.notEqual(input, sent.fields['signature-input'])
    return read({ ...sent, fields: { ...sent.fields, 'signature-input': input } })
  }
  refused(edit(/;created=\d+/, ''), /created is missing/)
  refused(edit(/;nonce="[^"]*"/, ''), /nonce is missing/)
  refused(edit(/;keyid="[^"]*"/, ''), /keyid is missing/)
  refused(edit(/;alg="[^"]*"/, ''), /alg is missing/)
  refused(edit(/;tag="[^"]*"/, ''), /tag is missing/)
  refused(edit(/$/, ';expires=9999999999'), /expires is not allowed/)
  refused(edit(/$/, ';other'), /not known/)
  refused(edit('tag="verit"', 'tag="verit-response"'), /tag is not/)
  refused(edit('hmac-sha256', 'rsa-v1_5-sha256'), /alg is neither/)
  refused(edit('hmac-sha256', 'ed25519'), /32 bytes/)
  refused(edit(/nonce="[^"]*"/, `nonce="${'a'.repeat(21)}"`), /nonce is not/)
  refused(edit(/nonce="[^"]*"/, `nonce="${'a'.repeat(65)}"`), /nonce is not/)
  refused(edit(/nonce="[^"]*"/, `nonce="${'a'.repeat(21)}+"`), /nonce is not/)
  refused(edit('.1"', '.0"'), /keyid is not/)
  refused(edit('key_', 'kez_'), /keyid is not/)
  refused(edit(' "@path"', ''), /covers exactly "@method" "@authority" "@path"/)
  refused(edit('"@method" "@authority"', '"@authority" "@method"'), /covers exactly/)
  refused(edit('"@path"', '"@path" "content-type"'), /covers exactly/)
  refused(edit('"@method"', '"@method";req'), /covers exactly/)
  refused(() => read({ ...sent, hasBody: true }), /with a body covers exactly/)
  refused(() => read({ ...send(withBody, signers.ed25519), hasBody: false }), /without a body covers exactly/)
  refused(() => read({ ...sent, fields: { ...sent.fields, 'content-digest': contentDigest(body) } }), /but no body/)
  refused(() => read({ ...sent, path: '/v1/models?all' }), /query/)
  refused(() => read({ ...sent, path: '*' }), /no path/)
  refused(() => read({ ...sent, authority: '' }), /no host/)
})

test('what cannot be signed is refused by the signer', () => {
  refused(() => signRequest({ ...withBody, path: '/v1/models?x' }, signers.ed25519), /query/)
  refused(() => signRequest({ ...withBody, headers: {} }, signers.ed25519), /content-type/)
})

test('a body of no bytes is no body', () => {
  assert.deepEqual(Object.keys(signRequest({ ...withBody, body: Buffer.alloc(0) }, signers.ed25519).headers), [
    'signature-input',
    'signature'
  ])
})

test('created may lie within the window on both sides and not beyond', () => {
  for (const off of [-60, 0, 60]) checkCreated(1_000_000 + off, 60, 1_000_000)
  refused(() => checkCreated(1_000_000 - 61, 60, 1_000_000), /61 s before/)
  refused(() => checkCreated(1_000_000 + 61, 60, 1_000_000), /61 s after/)
})

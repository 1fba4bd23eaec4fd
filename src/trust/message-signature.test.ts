import assert from 'node:assert/strict'
import { constants, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseItem } from 'structured-headers'
import { components, keys, vectors } from '../../test/vectors/rfc9421.ts'
import type { Vector } from '../../test/vectors/rfc9421.ts'
import { VeritError } from '../lib/errors.ts'
import type { Component, HttpMessage, RequestMessage } from './http-message.ts'
import { readSignature, signBase, verifyBase } from './message-signature.ts'
import type { ReadSignature } from './message-signature.ts'
import { componentId, signatureBase, signatureParams } from './signature-base.ts'

const component = (identifier: string): Component => {
  const [name, parameters] = parseItem(identifier)
  return { name: name as string, parameters: [...parameters] as [string, string | true][] }
}
const base = (message: HttpMessage, ...identifiers: string[]): string =>
  signatureBase(identifiers.map(component), new Map(), message)
const refused = (f: () => unknown, problem?: RegExp): void =>
  assert.throws(f, e => VeritError.is(e, 'VERIT_SIGNATURE') && (problem === undefined || problem.test(e.message)))
const request = (target = '/', headers: [string, string][] = []): RequestMessage => ({
  method: 'GET',
  scheme: 'https',
  authority: 'a.example',
  target,
  headers
})
const read = (input: string, signature: string): ReadSignature =>
  readSignature([
    ['Signature-Input', input],
    ['SIGNATURE', signature]
  ])

function holds(vector: Vector, text: string, signature: Buffer): boolean {
  const data = Buffer.from(text, 'latin1')
  switch (vector.key) {
    case 'ed25519':
      return verifyBase(text, signature, { alg: 'ed25519', publicKey: createPublicKey(keys.ed25519) })
    case 'hmac-sha256':
      return verifyBase(text, signature, { alg: 'hmac-sha256', secret: Buffer.from(keys.shared, 'base64') })
    case 'ecdsa-p256-sha256':
      return verify('sha256', data, { key: keys.p256, dsaEncoding: 'ieee-p1363' }, signature)
    case 'rsa-pss-sha512':
      return verify(
        'sha512',
        data,
        { key: keys.rsaPss, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 },
        signature
      )
  }
}

for (const vector of vectors) {
  test(
    `RFC 9421 ${vector.section}: ${vector.input.slice(0, 60)}... ` +
      `${vector.valid === false ? 'no longer verifies' : 'verifies'}`,
    () => {
      const { label, components: covered, parameters, signature } = read(vector.input, vector.signature)
      const text = signatureBase(covered, parameters, vector.message)
      if (vector.lines !== undefined) {
        assert.equal(text, [...vector.lines, `"@signature-params": ${vector.input.slice(label.length + 1)}`].join('\n'))
      }
      assert.equal(`${label}=${signatureParams(covered, parameters)}`, vector.input)
      assert.equal(holds(vector, text, signature), vector.valid !== false)
      if (vector.section === 'B.2.5')
        assert.deepEqual(signBase(text, { alg: 'hmac-sha256', secret: Buffer.from(keys.shared, 'base64') }), signature)
      if (vector.section === 'B.2.6')
        assert.deepEqual(
          signBase(text, { alg: 'ed25519', privateKey: createPrivateKey(keys.ed25519Private) }),
          signature
        )
    }
  )
}

for (const [section, message, identifier, value] of components) {
  test(`RFC 9421 ${section}: ${identifier} is ${JSON.stringify(value)}`, () => {
    assert.equal(base(message, identifier), `${identifier}: ${value}\n"@signature-params": (${identifier})`)
  })
}

test('host names are lowered and the default port of the scheme is left out', () => {
  const authority = (name: string, scheme?: string): string =>
    base({ ...request(), authority: name, ...(scheme === undefined ? {} : { scheme }) }, '"@authority"').split('\n')[0]!
  assert.equal(authority('A.Example:443'), '"@authority": a.example')
  assert.equal(authority('A.Example:80', 'HTTP'), '"@authority": a.example')
  assert.equal(authority('a.example:80'), '"@authority": a.example:80')
  assert.equal(authority('[::1]:8080'), '"@authority": [::1]:8080')
})

test('an empty path is /, and an absolute target has the same path and query as the origin form', () => {
  assert.match(base(request('https://a.example'), '"@path"'), /^"@path": \/\n/)
  assert.match(base(request('https://a.example?q'), '"@path"', '"@query"'), /^"@path": \/\n"@query": \?q\n/)
  assert.match(base(request('https://a.example/x?q'), '"@target-uri"'), /^"@target-uri": https:\/\/a.example\/x\?q\n/)
})

test('a base is refused where a component is missing, repeated, unknown, misplaced or not printable', () => {
  const dict: [string, string][] = [
    ['x-dict', 'a=1'],
    ['content-digest', 'a=:AA==:']
  ]
  const cases: [HttpMessage, string[], RegExp][] = [
    [request(), ['"missing"'], /not there/],
    [request(), ['"@method"', '"@method"'], /twice/],
    [request('/', dict), ['"content-digest";sf;key="a"', '"content-digest";key="a";sf'], /twice/],
    [request(), ['"@signature-params"'], /cannot be covered/],
    [request(), ['"@unknown"'], /not known/],
    [request(), ['"@request-response"'], /not known/],
    [request(), ['"@status"'], /responses only/],
    [request(), ['"@method";req'], /parameter req/],
    [request(), ['"@method";sf'], /cannot have/],
    [request(), ['"@method";name="x"'], /cannot have/],
    [request('*'), ['"@path"'], /no path/],
    [request('/?a=1&a=2'), ['"@query-param";name="a"'], /twice/],
    [request('/?b=1'), ['"@query-param";name="a"'], /not there/],
    [request('/?b=1'), ['"@query-param"'], /needs the name/],
    [request('/', dict), ['"x-dict";sf'], /type of the field/],
    [request('/', dict), ['"x-dict";key="b"'], /does not have the member/],
    [request('/', dict), ['"x-dict";bs;sf'], /beside sf/],
    [request('/', dict), ['"x-dict";bs;key="a"'], /beside sf/],
    [request('/', dict), ['"x-dict";other'], /unknown or malformed/],
    [request('/', dict), ['"x-dict";key'], /unknown or malformed/],
    [request('/', dict), ['"x-dict";sf="a"'], /unknown or malformed/],
    [request('/', dict), ['"x-dict";tr'], /not there/],
    [request('/', [['x-dict', '(']]), ['"x-dict";key="a"'], /not a structured field/],
    [request('/', [['X', 'a']]), ['"X"'], /no field can have/],
    [request('/', [['@method', 'POST']]), ['"@method "'], /not known/],
    [request('/', [['x', 'a\nb']]), ['"x"'], /printable/],
    [request('/', [['x', 'a\r\nb']]), ['"x"'], /printable/],
    [request('/', [['x', 'é']]), ['"x"'], /printable/],
    [request('/\n"@method": POST'), ['"@path"'], /printable/],
    [{ ...request(), authority: 'a\tb' }, ['"@authority"'], /printable/],
    [{ status: 200, headers: [] }, ['"@method"'], /requests only/],
    [{ status: 200, headers: [] }, ['"@method";req'], /request of this response/],
    [{ status: 20, headers: [] }, ['"@status"'], /three digits/],
    [{ status: 200, headers: [], request: request() }, ['"@status";req'], /responses only/]
  ]
  for (const [message, identifiers, problem] of cases) refused(() => base(message, ...identifiers), problem)
  const { scheme: _, ...unknown } = request()
  refused(() => base(unknown, '"@scheme"'), /scheme of the request/)
})

test('a field named like a derived component is never taken for it', () => {
  assert.match(base(request('/', [['@method', 'POST']]), '"@method"'), /^"@method": GET\n/)
})

test('only one signature in canonical form, with known parameters of the right types, is read', () => {
  const good: [string, string] = [
    's=("@method");created=1;keyid="k";nonce="n";alg="ed25519";tag="t";expires=2',
    's=:AAAA:'
  ]
  assert.equal(read(...good).signature.length, 3)
  const wrong: [string, string, RegExp][] = [
    ['s=("@method")', 't=:AAAA:', /different labels/],
    ['s=("@method"), t=("@path")', 's=:AAAA:, t=:AAAA:', /exactly one/],
    ['s=("@method")', 's=:AAAA:, t=:AAAA:', /exactly one/],
    ['', '', /exactly one/],
    ['s=("@method"), s=("@path")', 's=:AAAA:', /canonical/],
    ['s=("@method");created=1;created=2', 's=:AAAA:', /canonical/],
    ['s=("@method");created=01', 's=:AAAA:', /canonical/],
    ['s=("@method");created=1.0', 's=:AAAA:', /canonical/],
    ['s=("@method" )', 's=:AAAA:', /canonical/],
    [' s=("@method")', 's=:AAAA:', /canonical/],
    ['s=("@method");  created=1', 's=:AAAA:', /canonical/],
    ['s=("@method")', 's=:AAB=:', /canonical/],
    ['s=("@method")', 's=:AAAA', /not a structured field/],
    ['s=("@method")', 's="AAAA"', /plain byte sequence/],
    ['s=("@method")', 's=:AAAA:;a', /plain byte sequence/],
    ['s="@method"', 's=:AAAA:', /not a list/],
    ['s', 's=:AAAA:', /not a list/],
    ['s=(a)', 's=:AAAA:', /not a string/],
    ['s=("a";key=1)', 's=:AAAA:', /wrong type/],
    ['s=("a");unknown=1', 's=:AAAA:', /not known/],
    ['s=("a");constructor', 's=:AAAA:', /not known/],
    ['s=("a");created="1"', 's=:AAAA:', /wrong type/],
    ['s=("a");created=-1', 's=:AAAA:', /wrong type/],
    ['s=("a");created=1.5', 's=:AAAA:', /wrong type/],
    ['s=("a");keyid=k', 's=:AAAA:', /wrong type/],
    ['s=("a");alg=:AAAA:', 's=:AAAA:', /wrong type/],
    [`s=(${Array.from({ length: 33 }, (_, i) => `"a${i}"`).join(' ')})`, 's=:AAAA:', /more than 32/],
    [`s=("${'a'.repeat(2048)}")`, 's=:AAAA:', /more than 2048/],
    ['s=("a")', `s=:${'A'.repeat(1024)}:`, /more than 1024/]
  ]
  for (const [input, signature, problem] of wrong) refused(() => read(input, signature), problem)
  refused(() => readSignature([]), /no signature-input/)
  refused(() => readSignature([['signature-input', good[0]]]), /no signature field/)
  refused(
    () =>
      readSignature([
        ['signature-input', good[0]],
        ['Signature-Input', good[0]],
        ['signature', good[1]]
      ]),
    /2 signature-input/
  )
  refused(
    () =>
      readSignature([
        ['signature-input', good[0]],
        ['Signature', good[1]],
        ['signature', good[1]]
      ]),
    /2 signature fields/
  )
})

test('hostile fields are refused with an error of the table and nothing else', () => {
  const piece = fc.constantFrom(
    's',
    '=',
    '(',
    ')',
    '"',
    '"a"',
    ';',
    'created',
    '1',
    ':',
    'AAAA',
    ',',
    ' ',
    '?1',
    '\\',
    '@',
    '%"',
    '\u0000',
    '"@method"',
    'é',
    '-',
    '.'
  )
  const field = fc.array(piece, { maxLength: 20 }).map(parts => parts.join(''))
  fc.assert(
    fc.property(field, field, (input, signature) => {
      try {
        const got = read(input, signature)
        assert.equal(`${got.label}=${signatureParams(got.components, got.parameters)}`, input)
        got.components.map(componentId)
        signatureBase(got.components, got.parameters, request())
      } catch (e) {
        if (!VeritError.is(e, 'VERIT_SIGNATURE')) throw e
      }
    }),
    { numRuns: 500 }
  )
})

test('a signature of one kind or key never verifies as another', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const secret = randomBytes(32)
  const signed = signBase('base', { alg: 'ed25519', privateKey })
  const raw = publicKey.export({ format: 'der', type: 'spki' })
  assert.ok(verifyBase('base', signed, { alg: 'ed25519', publicKey }))
  assert.ok(!verifyBase('base', signed, { alg: 'hmac-sha256', secret }))
  assert.ok(!verifyBase('base', signBase('base', { alg: 'hmac-sha256', secret }), { alg: 'ed25519', publicKey }))
  assert.ok(!verifyBase('base', signBase('base', { alg: 'hmac-sha256', secret: raw }), { alg: 'ed25519', publicKey }))
  assert.ok(
    !verifyBase('base', signBase('base', { alg: 'hmac-sha256', secret }), {
      alg: 'hmac-sha256',
      secret: randomBytes(32)
    })
  )
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  assert.ok(!verifyBase('base', signed, { alg: 'ed25519', publicKey: p256.publicKey }))
  assert.throws(() => signBase('base', { alg: 'ed25519', privateKey: p256.privateKey }))
  assert.throws(() => signBase('base', { alg: 'hmac-sha256', secret: Buffer.alloc(16) }))
})

test('an Ed25519 signature has one form: S plus the order of the group is refused (RFC 8032, 5.1.7)', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const signature = signBase('base', { alg: 'ed25519', privateKey })
  const order = (1n << 252n) + 27742317777372353535851937790883648493n
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order
  const other = Buffer.concat([
    signature.subarray(0, 32),
    Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
  ])
  assert.ok(verifyBase('base', signature, { alg: 'ed25519', publicKey }))
  assert.ok(!verifyBase('base', other, { alg: 'ed25519', publicKey }))
})

/**
 * Class G: attacks on keys and signatures. Whatever is presented, only the whole secret of a valid key, or a fresh
 * signature with its whole form, gets in; and what a key no longer may is ended while it runs.
 */
// long: each attack has a server, keys and restarts
import assert from 'node:assert/strict'
import { createHash, createHmac, generateKeyPairSync, hkdfSync, sign as signBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scope } from '../../src/store/key-store.ts'
import { scopes } from '../../src/store/key-store.ts'
import { newKey, withChecksum } from '../../src/store/key-format.ts'
import { routeTable } from '../../src/server/routes.ts'
import { contentDigest } from '../../src/trust/content-digest.ts'
import { ed25519ToSpki } from '../../src/trust/ed25519.ts'
import { signRequest } from '../../src/trust/request-profile.ts'
import type { Signer } from '../../src/trust/request-profile.ts'
import { signingSecret } from '../../src/trust/signing-secret.ts'
import { killServers } from '../served.ts'
import { Target, codeOf, each } from './target.ts'

let t: Target
const pair = generateKeyPairSync('ed25519')
const other = generateKeyPairSync('ed25519')
const publicKey = ed25519ToSpki(pair.publicKey)
const everyScope = [...scopes]
let bySignature: Signer
let hmac: Signer
let hmacKey = ''
/** Every text that must never be found anywhere. */
const secrets: string[] = []
before(async () => {
  t = await Target.start({}, 1 << 15)
  const ed = await t.store.keys.create(
    { name: 'possession', kind: 'ed25519', public: publicKey, scopes: everyScope },
    'cli'
  )
  bySignature = { alg: 'ed25519', keyId: ed.credentialId, privateKey: pair.privateKey }
  const made = await t.key({ name: 'hmac', signing: 'required', scopes: everyScope })
  hmacKey = made.key
  hmac = { alg: 'hmac-sha256', keyId: made.credentialId, secret: signingSecret(made.key) }
  secrets.push(t.all.key, made.key, 'a-prompt-that-nobody-may-read')
})
after(async () => {
  setTimeout(killServers, 5000).unref()
  await t.stop()
})
afterEach(() => t.survives())

const BODY = '{"prompt":"a-prompt-that-nobody-may-read","max_tokens":1}'
const TYPE = { 'content-type': 'application/json' }
const authority = (): string => `127.0.0.1:${t.port}`
/** A signed request, and how to spoil it. */
const signed = (
  signer: Signer,
  options: { at?: number; nonce?: string; path?: string; body?: string; method?: string; authority?: string } = {}
): Record<string, string> => {
  const { body = BODY, method = 'POST', path = '/v1/completions' } = options
  return signRequest(
    {
      method,
      authority: options.authority ?? authority(),
      path,
      headers: TYPE,
      ...(body !== '' && { body: Buffer.from(body) })
    },
    signer,
    options.at,
    options.nonce
  ).headers
}
const send = (headers: Record<string, string>, body = BODY, path = '/v1/completions'): Promise<Response> =>
  t.fetch(path, { method: 'POST', key: '', headers: { ...TYPE, ...headers }, body })
const status = async (headers: Record<string, string>, body = BODY): Promise<number> => {
  const response = await send(headers, body)
  await response.arrayBuffer()
  return response.status
}
const now = (): number => Math.floor(Date.now() / 1000)

test(
  'G1 a wrong key is refused in one and the same way, however near it comes, and is looked up and compared as ' +
    'an HMAC in constant time',
  async () => {
    const body = t.all.key.slice(6, 49)
    // the digit after the common ones is always another: of 62 random last digits one would be the key's own
    const near = [1, 10, 20, 30, 42].map(n =>
      withChecksum(body.slice(0, n) + (body[n] === 'x' ? 'y' : 'x') + newKey().slice(7 + n, 49))
    )
    const answers = new Set(
      await Promise.all(
        [...near, newKey(), 'x', t.all.key.slice(0, -1) + (t.all.key.endsWith('_') ? '-' : '_')].map(async key => {
          const { error } = (await (await t.fetch('/v1/models', { key })).json()) as { error: object }
          return JSON.stringify(error)
        })
      )
    )
    assert.equal(answers.size, 1)
    // The times themselves: bench/key-timing.ts, 10^6 samples of each sort
    const source = readFileSync(new URL('../../src/store/sql-key-store.ts', import.meta.url), 'utf8')
    assert.match(source, /timingSafeEqual\(row\.digest, digest\)/)
  }
)

test('G2 a key is accepted in one spelling of the header only, and two credentials at once never', async () => {
  const { key } = t.all
  const values = [
    `Bearer\t${key}`,
    `Bearer Bearer ${key}`,
    `Bearer ${key},`,
    `Bearer ${key}, Bearer ${key}`,
    `Bearer ${key} ${key}`,
    `Bearer "${key}"`,
    `Bearer '${key}'`,
    `Bearer ${key};`,
    `Bearer token=${key}`,
    `Bearer:${key}`,
    `Bearer${key}`,
    key,
    `Basic ${btoa(`:${key}`)}`,
    `Basic ${btoa(`${key}:`)}`,
    `Digest ${key}`,
    `Token ${key}`,
    `ApiKey ${key}`,
    `Negotiate ${key}`,
    `Bearer ${key.toUpperCase()}`,
    `Bearer ${key.toLowerCase()}`,
    `Bearer ${key.slice(1)}`,
    `Bearer x${key}`,
    `Bearer ${key}x`,
    `Bearer ${encodeURIComponent(key)}%00`,
    `Bearer ${Buffer.from(key).toString('base64')}`,
    `Bearer ${key.replace('_', '%5f')}`,
    `Bearer ${key.replace('verit_', 'VERIT_')}`,
    `Bearer ${key.replaceAll('_', '-')}`,
    `Bearer ${key}\u00a0`,
    'Bearer',
    'Bearer null',
    'Bearer undefined',
    'Bearer true',
    'Bearer *',
    ''
  ]
  await each(values, async value => {
    const { statuses } = await t.raw(
      `GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${value}\r\nConnection: close\r\n\r\n`
    )
    assert.ok(
      statuses.length === 1 && statuses[0]! >= 400 && statuses[0]! < 500,
      `${value.replaceAll(key, 'KEY')}: ${statuses.join()}`
    )
  })
  const elsewhere = [
    `X-API-Key: ${key}`,
    `Api-Key: ${key}`,
    `Cookie: key=${key}`,
    `Proxy-Authorization: Bearer ${key}`,
    `X-Authorization: Bearer ${key}`,
    `Sec-WebSocket-Protocol: ${key}`,
    `X-Goog-Api-Key: ${key}`,
    `Authentication: Bearer ${key}`
  ]
  await each(elsewhere, async header =>
    assert.deepEqual(
      (await t.raw(t.request('GET /v1/models', [header, 'Connection: close'], '', ''))).statuses,
      [401],
      header.split(':')[0]
    )
  )
  const both = await send({ ...signed(bySignature), authorization: `Bearer ${key}` })
  assert.deepEqual([both.status, await codeOf(both)], [401, 'VERIT_UNAUTHORIZED'])
  assert.equal((await t.fetch('/v1/models', { headers: { 'signature-input': 'x' } })).status, 401)
  assert.deepEqual(
    (await t.raw(t.request('GET /v1/models', [`Authorization: Bearer ${newKey()}`, 'Connection: close']))).statuses,
    [400]
  )
  // a secret whose requests must be signed is no key by itself
  assert.equal((await t.fetch('/v1/models', { key: hmacKey })).status, 401)
})

test(
  'G3 pieces of SQL and of queries are texts like others, in every place where a client says who it is or what ' +
    'it wants',
  async () => {
    const pieces = [
      "' OR '1'='1",
      "'; DROP TABLE verit_key; --",
      "\\' OR 1=1 --",
      '" OR ""="',
      '1) UNION SELECT * FROM verit_credential --',
      '{"$gt":""}',
      '{"$ne":null}',
      '[$regex]=.*',
      '*)(uid=*))(|(uid=*',
      '%27%20OR%201=1',
      "'||(SELECT 1)||'",
      'x\u0000y',
      '$(id)',
      '`id`',
      '${7*7}',
      '{{7*7}}'
    ]
    const before = (await t.store.keys.list()).length
    const printable = pieces.filter(p => !p.includes('\0'))
    await each(printable, async piece => {
      for (const header of [
        `Authorization: ${piece}`,
        `Authorization: Bearer ${piece}`,
        `Authorization: Bearer ${t.all.key}${piece}`,
        `Signature-Input: verit=();keyid="${piece}"`
      ]) {
        const { statuses } = await t.raw(t.request('GET /v1/models', [header, 'Connection: close'], '', ''))
        assert.ok(
          statuses.length === 1 && (statuses[0] === 401 || statuses[0] === 400),
          `${header}: ${statuses.join()}`
        )
      }
    })
    await each(pieces, async piece => {
      assert.equal((await t.complete({ model: piece })).status, 404)
      const { status: code } = await t.fetch(`/v1/admin/keys/${encodeURIComponent(piece)}`)
      assert.equal(code, 404, piece)
      const made = await t.fetch('/v1/admin/keys', {
        method: 'POST',
        body: JSON.stringify({ name: piece.slice(0, 64) })
      })
      assert.ok(made.status === 200 || made.status === 400, `${piece}: ${made.status}`)
      for (const body of [
        { name: { $gt: '' } },
        { name: [piece] },
        { name: 'x', scopes: { $in: [] } },
        { name: 'x', scopes: [piece] },
        { name: 'x', models: [piece] },
        { name: 'x', addresses: [piece] },
        { name: 'x', expires: piece }
      ]) {
        assert.equal(
          (await t.fetch('/v1/admin/keys', { method: 'POST', body: JSON.stringify(body) })).status,
          400,
          JSON.stringify(body)
        )
      }
    })
    assert.ok((await t.store.keys.list()).length >= before)
  }
)

test('G4 nothing that the server stores or shows of a key is accepted in its place', async () => {
  const { key, record, credentialId } = t.all
  const secret = readdirSync(t.state).flatMap(name => {
    const path = join(t.state, name)
    return /secret/i.test(name) ? [readFileSync(path)] : []
  })
  const digests = [
    createHash('sha256').update(key).digest(),
    ...secret.flatMap(s => [
      createHmac('sha256', s).update(key).digest(),
      createHmac('sha256', Buffer.from(s.toString().trim(), 'hex')).update(key).digest()
    ]),
    signingSecret(key)
  ]
  const shown = [
    record.id,
    credentialId,
    key.slice(6),
    key.slice(0, 49),
    ...digests.flatMap(d => [d.toString('hex'), d.toString('base64'), d.toString('base64url')])
  ]
  await each([...shown, ...shown.map(text => `verit_${text}`).filter(text => text !== key)], async text =>
    assert.equal((await t.fetch('/v1/models', { key: text })).status, 401, text.slice(0, 20))
  )
  // the stored secret of signatures signs, but is no bearer key; that of another credential does not sign for this one
  const foreign = await t.key({ signing: 'optional' })
  assert.equal(await status(signed({ alg: 'hmac-sha256', keyId: hmac.keyId, secret: signingSecret(foreign.key) })), 401)
  const listed = await (await t.fetch('/v1/admin/keys')).text()
  for (const d of digests) assert.ok(!listed.includes(d.toString('hex')) && !listed.includes(d.toString('base64')))
})

test('G5 keys that begin alike are told apart, in any order and many at a time', async () => {
  const keys = await Promise.all(
    Array.from({ length: 12 }, (_, i) => t.key({ name: `like ${i}`, scopes: i % 2 === 0 ? ['models'] : ['infer'] }))
  )
  const alike = keys.map(({ key }) => key)
  await each(
    Array.from({ length: 120 }, (_, i) => i),
    async i => {
      const key = alike[i % 12]!
      assert.equal((await t.fetch('/v1/models', { key })).status, (i % 12) % 2 === 0 ? 200 : 403)
      // the beginning of a valid key, up to all but its end, just after the key itself was seen
      const twin = withChecksum(key.slice(6, 48) + (key[48] === 'A' ? 'B' : 'A'))
      assert.equal((await t.fetch('/v1/models', { key: twin })).status, 401)
    }
  )
})

/** Opens an endless stream; gives how it ended and how long after `act`. */
async function endedBy(
  headers: Record<string, string>,
  act: () => Promise<unknown>
): Promise<{ text: string; ms: number }> {
  const body = JSON.stringify({ prompt: 'x', max_tokens: 30_000, stream: true, ignore_eos: true })
  const response = await send(headers['signature'] === undefined ? headers : signed(bySignature, { body }), body)
  assert.equal(response.status, 200)
  const reader = response.body!.getReader()
  await reader.read()
  await act()
  const start = performance.now()
  let text = ''
  for (let part = await reader.read(); !part.done; part = await reader.read()) text = Buffer.from(part.value).toString()
  return { text, ms: performance.now() - start }
}

test(
  'G6 what a key may no longer do is ended while it runs: revoked, expired, rotated, without the scope, from ' +
    'elsewhere, for signing only',
  async context => {
    const bearer = ({ key }: { key: string }): Record<string, string> => ({ authorization: `Bearer ${key}` })
    const ways: Record<string, (k: Awaited<ReturnType<Target['key']>>) => Promise<unknown>> = {
      'revoked beside the server': k => t.store.keys.revoke(k.record.id, 'cli'),
      'revoked by the admin route': k => t.fetch(`/v1/admin/keys/${k.record.id}/revoke`, { method: 'POST' }),
      'rotated without an overlap': k => t.store.keys.rotate(k.record.id, { overlapSeconds: 0 }, 'cli'),
      'rotated, when the overlap ends': async k => {
        await t.store.keys.rotate(k.record.id, { overlapSeconds: 1 }, 'cli')
        await sleep(1000)
      },
      'without the scope': k => t.store.keys.change(k.record.id, { scopes: ['models'] }, 'cli'),
      'for another model': k => t.store.keys.change(k.record.id, { models: ['other'] }, 'cli'),
      'from other addresses': k => t.store.keys.change(k.record.id, { addresses: ['192.0.2.1'] }, 'cli'),
      'for signed requests only': k => t.store.keys.change(k.record.id, { signing: 'required' }, 'cli')
    }
    for (const [name, act] of Object.entries(ways)) {
      const made = await t.key({ name, signing: 'optional' })
      const { text, ms } = await endedBy(bearer(made), () => act(made))
      assert.match(text, /VERIT_UNAUTHORIZED/, name)
      assert.doesNotMatch(text, /\[DONE\]/, name)
      assert.ok(ms < 5000, `${name}: ${ms} ms`)
      context.diagnostic(`${name}: ended after ${Math.round(ms)} ms`)
      const next = await t.complete({}, { key: made.key })
      assert.ok(next.status === 401 || next.status === 403, `${name}: ${next.status}`)
    }
    const short = await t.key({ expires: new Date(Date.now() + 1500).toISOString() })
    const { text } = await endedBy(bearer(short), () => Promise.resolve())
    assert.match(text, /VERIT_UNAUTHORIZED/, 'expired')
    assert.equal((await t.complete({}, { key: short.key })).status, 401)
    await t.quiet()
  }
)

test('G7 every route asks for its own scope: a key with all others is refused there, whatever the method', async () => {
  const wanted = [...new Set(routeTable.map(r => r.requires))].filter((s): s is Scope => s !== 'nothing')
  for (const scope of wanted) {
    const { key, record } = await t.key({ scopes: scopes.filter(s => s !== scope) })
    for (const route of routeTable.filter(r => r.requires === scope)) {
      const init = route.takesBody ? { body: BODY } : {}
      assert.equal(
        (await t.fetch(route.path.replace(':id', record.id), { key, method: route.method, ...init })).status,
        403,
        `${route.method} ${route.path}`
      )
      for (const method of ['GET', 'POST', 'PATCH', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'].filter(
        m => !routeTable.some(r => r.path === route.path && r.method === m)
      )) {
        const { status: code } = await t.fetch(route.path.replace(':id', record.id), { key, method })
        assert.ok(code === 405 || code === 404 || code === 403, `${method} ${route.path}: ${code}`)
      }
    }
    // nor does it give itself more
    const more = await t.fetch(`/v1/admin/keys/${record.id}`, {
      key: scope === 'admin' ? key : t.all.key,
      method: 'PATCH',
      body: JSON.stringify({ scopes: ['everything'] })
    })
    assert.ok(more.status === 403 || more.status === 400)
  }
  const { key: narrow } = await t.key({ models: ['another'] })
  assert.equal((await t.complete({}, { key: narrow })).status, 403)
  assert.deepEqual(((await (await t.fetch('/v1/models', { key: narrow })).json()) as { data: unknown[] }).data, [])
  const { key: away } = await t.key({ addresses: ['192.0.2.0/24'] })
  for (const header of [
    {},
    { 'x-forwarded-for': '192.0.2.1' },
    { forwarded: 'for=192.0.2.1' },
    { 'x-real-ip': '192.0.2.1' }
  ]) {
    assert.equal((await t.fetch('/v1/models', { key: away, headers: header })).status, 403)
  }
})

test(
  'G8 a signed request is accepted once: not again, not after a restart, not after a kill, not outside the ' +
    'window of time',
  async () => {
    for (const signer of [bySignature, hmac]) {
      for (const [skew, expected] of [
        [-61, 401],
        [-55, 200],
        [55, 200],
        [62, 401],
        [-1e6, 401],
        [1e6, 401]
      ] as const) {
        assert.equal(await status(signed(signer, { at: now() + skew })), expected, `${signer.alg}: ${skew} s`)
      }
    }
    const once1 = signed(bySignature, { at: now() + 50 })
    const together = await Promise.all(Array.from({ length: 20 }, () => status(once1)))
    assert.deepEqual(together.toSorted(), [200, ...Array.from({ length: 19 }, () => 401)])
    const again = await send(once1)
    assert.match(((await again.json()) as { error: { message: string } }).error.message, /nonce has been used/)
    // the same nonce with another body, or of another key, is another matter: only its own credential has used it
    const nonce = 'n'.repeat(43)
    assert.equal(await status(signed(bySignature, { nonce })), 200)
    assert.equal(
      await status(
        signed(bySignature, { nonce, body: '{"prompt":"y","max_tokens":1}' }),
        '{"prompt":"y","max_tokens":1}'
      ),
      401
    )
    assert.equal(await status(signed(hmac, { nonce })), 200)
    for (const bad of ['', 'short', 'x'.repeat(65), 'x'.repeat(30) + '+', `${'x'.repeat(30)} `]) {
      assert.equal(await status(signed({ ...bySignature }, { nonce: bad })).catch(() => 401), 401)
    }
    const before = signed(hmac, { at: now() + 50 })
    assert.equal(await status(before), 200)
    await t.server.stop()
    await t.restart()
    assert.deepEqual([await status(once1), await status(before)], [401, 401])
    const last = signed(bySignature, { at: now() + 50 })
    assert.equal(await status(last), 200)
    const gone = once(t.server.process, 'exit')
    t.server.process.kill('SIGKILL')
    await gone
    await t.restart()
    assert.deepEqual([await status(once1), await status(before), await status(last)], [401, 401, 401])
    assert.equal(await status(signed(bySignature)), 200)
  }
)

test('G9 a signature of another algorithm, key, credential or label never verifies', async () => {
  const spki = publicKey
  const spkiPem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()
  // the public key, in every form, as the secret of an HMAC
  for (const secret of [
    spki,
    spki.subarray(-32),
    Buffer.from(spkiPem),
    Buffer.from(spki.toString('base64')),
    Buffer.alloc(32)
  ].filter(b => b.length >= 32)) {
    assert.equal(await status(signed({ alg: 'hmac-sha256', keyId: bySignature.keyId, secret })), 401)
  }
  assert.equal(await status(signed({ alg: 'ed25519', keyId: hmac.keyId, privateKey: pair.privateKey })), 401)
  assert.equal(await status(signed({ alg: 'ed25519', keyId: bySignature.keyId, privateKey: other.privateKey })), 401)
  assert.equal(
    await status(
      signed({ alg: 'hmac-sha256', keyId: hmac.keyId, secret: Buffer.from(hkdfSync('sha256', hmacKey, '', '', 32)) })
    ),
    401
  )
  const unsigned = await t.key({ signing: 'never' })
  assert.equal(
    await status(signed({ alg: 'hmac-sha256', keyId: unsigned.credentialId, secret: signingSecret(unsigned.key) })),
    401
  )
  const good = signed(bySignature)
  const input = good['signature-input']!
  const value = good['signature']!
  const spoilt: [string, string, string][] = [
    ['alg none', input.replace('alg="ed25519"', 'alg="none"'), value],
    ['alg rsa', input.replace('alg="ed25519"', 'alg="rsa-pss-sha512"'), value],
    ['alg hmac', input.replace('alg="ed25519"', 'alg="hmac-sha256"'), value],
    ['alg in capitals', input.replace('alg="ed25519"', 'alg="ED25519"'), value],
    ['alg empty', input.replace('alg="ed25519"', 'alg=""'), value],
    ['alg left out', input.replace(';alg="ed25519"', ''), value],
    ['alg twice', `${input};alg="none"`, value],
    ['keyid left out', input.replace(/;keyid="[^"]*"/, ''), value],
    ['keyid of another', input.replace(bySignature.keyId, hmac.keyId), value],
    ['keyid without number', input.replace(bySignature.keyId, bySignature.keyId.split('.')[0]!), value],
    ['keyid 1 and more', input.replace(bySignature.keyId, `${bySignature.keyId}0`), value],
    ['another label', input.replace('verit=', 'sig1='), value.replace('verit=', 'sig1=')],
    ['labels that differ', input, value.replace('verit=', 'sig1=')],
    ['two signatures', `${input}, sig1=${input.slice(6)}`, `${value}, sig1=${value.slice(6)}`],
    ['two inputs', `${input}, sig1=${input.slice(6)}`, value],
    ['two values', input, `${value}, sig1=${value.slice(6)}`],
    ['the label twice', `${input}, ${input}`, value],
    ['no value', input, ''],
    ['value empty', input, 'verit=::'],
    ['value a text', input, `verit="${value.slice(7, -1)}"`],
    ['value with a parameter', input, `${value};x=1`],
    ['cut short', input, `verit=:${Buffer.alloc(63).toString('base64')}:`],
    ['zeros', input, `verit=:${Buffer.alloc(64).toString('base64')}:`],
    ['tag left out', input.replace(';tag="verit"', ''), value],
    ['another tag', input.replace('tag="verit"', 'tag="other"'), value],
    ['expires added', `${input};expires=${now() + 60}`, value],
    ['created negative', input.replace(/created=\d+/, 'created=-1'), value],
    ['created a text', input.replace(/created=\d+/, 'created="1"'), value],
    ['created left out', input.replace(/;created=\d+/, ''), value],
    ['created moved', input.replace(/created=\d+/, `created=${now() + 1}`), value],
    ['nonce changed', input.replace(/nonce="(.)/, (_, first) => `nonce="${first === '-' ? 'A' : '-'}`), value],
    ['an unknown parameter', `${input};x=1`, value],
    ['padding', `${input} `, ` ${value} `],
    ['long', `${input};x="${'y'.repeat(3000)}"`, value]
  ]
  await each(spoilt, async ([name, signatureInput, signature]) => {
    if (name === 'padding') return // spaces around a field are not part of it
    assert.equal(await status({ ...good, 'signature-input': signatureInput, signature }), 401, name)
  })
  // s + L, the other form of an Ed25519 signature, is none (RFC 8032, 5.1.7)
  const raw = Buffer.from(value.slice(7, -1), 'base64')
  const L = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = BigInt(`0x${Buffer.from(raw.subarray(32)).reverse().toString('hex')}`) + L
  const twin = Buffer.concat([raw.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()])
  assert.equal(await status({ ...good, signature: `verit=:${twin.toString('base64')}:` }), 401)
  assert.equal(await status(good), 200, 'none of them has used up the nonce of the good one')
})

test(
  'G10 a signature that covers less, more, or in another order than the profile says is refused, and so is a ' +
    'request other than the signed one',
  async () => {
    const digest = contentDigest(Buffer.from(BODY))
    const lists = [
      '()',
      '("@method")',
      '("@method" "@authority" "@path")',
      '("@method" "@authority" "@path" "content-type")',
      '("@authority" "@method" "@path" "content-type" "content-digest")',
      '("@method" "@authority" "@path" "content-digest" "content-type")',
      '("@method" "@authority" "@path" "content-type" "content-digest" "x-request-id")',
      '("@method" "@target-uri" "content-type" "content-digest")',
      '("@method" "@authority" "@path" "content-type" "content-type" "content-digest")',
      '("@method" "@authority" "@path";req "content-type" "content-digest")',
      '("@method" "@authority" "@path" "content-type";sf "content-digest")',
      '("@method" "@authority" "@query" "content-type" "content-digest")',
      '("@METHOD" "@authority" "@path" "content-type" "content-digest")'
    ]
    await each(lists, async list => {
      const params = `${list};created=${now()};nonce="${crypto.randomUUID().replaceAll('-', '')}";keyid="${bySignature.keyId}";alg="ed25519";tag="verit"`
      const lines: Record<string, string> = {
        '@method': 'POST',
        '@authority': authority(),
        '@path': '/v1/completions',
        'content-type': 'application/json',
        'content-digest': digest,
        'x-request-id': 'x',
        '@target-uri': `http://${authority()}/v1/completions`,
        '@query': '?'
      }
      const base = [
        ...[...list.matchAll(/"([^"]+)"(;\w+)?/g)].map(([id, name]) => `${id}: ${lines[name!.toLowerCase()]}`),
        `"@signature-params": ${params}`
      ].join('\n')
      const signature = signBytes(null, Buffer.from(base), pair.privateKey).toString('base64')
      assert.equal(
        await status({
          'content-digest': digest,
          'x-request-id': 'x',
          'signature-input': `verit=${params}`,
          signature: `verit=:${signature}:`
        }),
        401,
        list
      )
    })
    const evil = '{"prompt":"evil","max_tokens":1}'
    assert.equal(await status(signed(bySignature), evil), 401, 'another body')
    assert.equal(
      await status({ ...signed(bySignature), 'content-digest': contentDigest(Buffer.from(evil)) }, evil),
      401,
      'another body and its digest'
    )
    const { 'content-digest': _, ...withoutDigest } = signed(bySignature)
    assert.equal(await status(withoutDigest), 401, 'no digest')
    assert.equal(
      await status({ ...signed(bySignature), 'content-type': 'application/json; charset=utf-8' }),
      401,
      'another type'
    )
    assert.equal((await send(signed(bySignature), BODY, '/v1/chat/completions')).status, 401, 'another path')
    assert.equal(await status(signed(bySignature, { method: 'GET' })), 401, 'another method')
    for (const elsewhere of ['evil.example', `localhost:${t.port}`, '127.0.0.1', `127.0.0.1:${t.port + 1}`]) {
      assert.equal(await status(signed(bySignature, { authority: elsewhere })), 401, elsewhere)
    }
    assert.equal(
      (
        await t.fetch('/v1/models', {
          key: '',
          headers: signed(bySignature, { method: 'GET', path: '/v1/models', body: '' })
        })
      ).status,
      200
    )
    for (const weak of ['md5=:1B2M2Y8AsgTpgAmY7PhCfg==:', 'sha=:2jmj7l5rSw0yVb/vlWAYkK/YBwk=:', 'unixsum=:30637:']) {
      assert.equal(await status({ ...signed(bySignature), 'content-digest': weak }), 401, weak)
    }
  }
)

test('G11 no answer, output, argument or file of the state folder holds a secret', async () => {
  const created = (await (
    await t.fetch('/v1/admin/keys', { method: 'POST', body: JSON.stringify({ name: 'made', signing: 'optional' }) })
  ).json()) as { key: string; id: string }
  secrets.push(created.key)
  await t.complete({ prompt: 'a-prompt-that-nobody-may-read' }, { key: created.key })
  const inUrl = await t.raw(
    t.request(`GET /v1/models?api_key=${created.key}`, ['Connection: close'], '', ''),
    t.request(`GET /${created.key}`, ['Connection: close'])
  )
  assert.ok(!inUrl.text.includes(created.key))
  const answers = [
    await t.fetch('/v1/models', { key: `${created.key}x` }),
    await t.fetch(`/v1/admin/keys/${created.id}`),
    await t.fetch('/v1/admin/keys'),
    await t.fetch(`/v1/admin/keys/${created.key}`),
    await t.fetch('/metrics'),
    await t.complete({ model: created.key }),
    await t.complete({ [created.key]: 1 }),
    await t.fetch('/v1/audit/checkpoint')
  ]
  // 6: an unknown field is quoted back to who sent it
  const told = (await Promise.all(answers.map(async r => JSON.stringify([...r.headers]) + (await r.text())))).filter(
    (_, i) => i !== 6
  )
  const files = readdirSync(t.state, { recursive: true, withFileTypes: true })
    .filter(f => f.isFile())
    .map(f => readFileSync(join(f.parentPath, f.name)))
  assert.ok(files.length >= 5)
  const haystack = Buffer.concat([
    ...files,
    Buffer.from(t.server.stderr()),
    Buffer.from(told.join('\n')),
    readFileSync(`/proc/${t.server.process.pid}/cmdline`)
  ])
  for (const secret of secrets) {
    const derived = [signingSecret(secret), createHash('sha256').update(secret).digest()]
    const forms = [
      Buffer.from(secret),
      Buffer.from(secret.slice(6, 49)),
      Buffer.from(Buffer.from(secret).toString('base64').slice(0, 40)),
      Buffer.from(Buffer.from(secret).toString('hex')),
      ...derived.flatMap(d => [d, Buffer.from(d.toString('hex')), Buffer.from(d.toString('base64'))])
    ]
    for (const [i, form] of forms.entries()) assert.ok(!haystack.includes(form), `a secret, form ${i}`)
  }
})

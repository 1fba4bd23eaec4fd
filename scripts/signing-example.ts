/**
 * Writes the worked example of docs/reference/request-signing.md, between its two marks: `node
 * scripts/signing-example.ts`. Keys, time and nonce are fixed, and both algorithms are deterministic, so that every
 * implementation gets the same bytes.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { ed25519ToSpki } from '../src/trust/ed25519.ts'
import { readRequestSignature, signRequest } from '../src/trust/request-profile.ts'
import { serverKeyId, signResponse } from '../src/trust/response-profile.ts'
import { signingSecret } from '../src/trust/signing-secret.ts'
import { StreamSigner, streamEndBase } from '../src/trust/stream-signature.ts'

const file = new URL('../docs/reference/request-signing.md', import.meta.url)
const marks = ['<!-- example: node scripts/signing-example.ts -->', '<!-- end of example -->'] as const

const at = 1_800_000_000
const nonce = Buffer.from(Array.from({ length: 32 }, (_, i) => i)).toString('base64url')
const keyId = 'key_0123456789ab.1'
const key = 'verit_0123456789012345678901234567890123456789012_000000'
const pem = (seed: string): string =>
  `-----BEGIN PRIVATE KEY-----\n${Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex').toString('base64')}\n-----END PRIVATE KEY-----`
const clientKey = createPrivateKey(pem('00'.repeat(31) + '01'))
const serverPrivate = createPrivateKey(pem('00'.repeat(31) + '02'))
const server = { keyId: serverKeyId(serverPrivate), privateKey: serverPrivate }
const request = {
  method: 'POST',
  authority: '127.0.0.1:8081',
  path: '/v1/completions',
  headers: { 'content-type': 'application/json' },
  body: Buffer.from('{"prompt":"The union","max_tokens":1}')
}
const answer = '{"ok":true}'
const events = 'data: {"ok":true}\n\ndata: [DONE]\n\n'

const fields = (headers: Record<string, string>): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('')
const block = (text: string): string =>
  text
    .trimEnd()
    .split('\n')
    .map(line => (line === '' ? '' : `    ${line}`))
    .join('\n')

export function signingExample(): string {
  const signers = [
    { alg: 'ed25519', keyId, privateKey: clientKey },
    { alg: 'hmac-sha256', keyId, secret: signingSecret(key) }
  ] as const
  const [ed25519, hmac] = signers.map(signer => signRequest(request, signer, at, nonce)) as [
    ReturnType<typeof signRequest>,
    ReturnType<typeof signRequest>
  ]
  const raw = Object.entries({ ...request.headers, ...ed25519.headers }).flat()
  const { base } = readRequestSignature(raw, request.method, request.authority, request.path, true)
  const empty = signRequest(
    { method: 'GET', authority: request.authority, path: '/v1/models', headers: {} },
    signers[0],
    at,
    nonce
  )
  const whole = signResponse(
    { status: 200, headers: request.headers, body: Buffer.from(answer) },
    ed25519.binding,
    server,
    at + 1
  )
  const stream = signResponse(
    { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } },
    ed25519.binding,
    server,
    at + 1
  )
  const signer = new StreamSigner(stream.signature, serverPrivate)
  signer.update(events)
  const end = signer.end()
  const parts: [string, string][] = [
    [
      "The client's Ed25519 key has the seed 00...01 (32 bytes); its public key, DER in base64, is",
      ed25519ToSpki(createPublicKey(clientKey)).toString('base64')
    ],
    [
      'The secret key of the HMAC example, and the 32 bytes derived from it, hexadecimal:',
      `${key}\n${signingSecret(key).toString('hex')}`
    ],
    [
      "The server's key has the seed 00...02; its public key and `keyid`:",
      `${ed25519ToSpki(createPublicKey(serverPrivate)).toString('base64')}\n${server.keyId}`
    ],
    [
      'A request, sent at Unix time 1800000000 with the nonce 00 01 ... 1f:',
      `POST /v1/completions HTTP/1.1\nhost: ` +
        `${request.authority}\n${fields(request.headers)}${fields(ed25519.headers)}\n${request.body.toString()}`
    ],
    ['Its signature base:', base],
    ['The same request under the HMAC secret:', fields(hmac.headers)],
    ['`GET /v1/models` without a body, with the Ed25519 key:', fields(empty.headers)],
    [
      `The answer to the first request, status 200, with the body \`${answer}\`:`,
      `${fields(request.headers)}${fields(whole.headers)}`
    ],
    [
      'The same as a stream of two events: the head, what its end signs, and the end.',
      'content-type: text/event-stream; ' +
        `charset=utf-8\n${fields(stream.headers)}\n${streamEndBase(end.split(' ')[2]!, stream.signature)}\n\n${end}`
    ]
  ]
  return parts.map(([title, text]) => `${title}\n\n${block(text)}\n`).join('\n')
}

/** The page with the example in its place. */
export function signingPage(page: string): string {
  const [from, to] = [page.indexOf(marks[0]), page.indexOf(marks[1])]
  if (from < 0 || to < from) throw new Error('docs/reference/request-signing.md has lost the marks of the example')
  return `${page.slice(0, from)}${marks[0]}\n\n${signingExample()}\n${page.slice(to)}`
}

if (import.meta.main) writeFileSync(file, signingPage(readFileSync(file, 'utf8')))

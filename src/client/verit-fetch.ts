/**
 * A `fetch` that signs its requests to a Verit server and checks that answers come from it:
 *   new OpenAI({ baseURL: 'http://127.0.0.1:8081/v1', apiKey: 'unused', fetch: veritFetch({ keyFile: 'key.json' }) })
 */
import type { KeyObject } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { contentDigest } from '../trust/content-digest.ts'
import { ed25519FromSpki, ed25519FromText } from '../trust/ed25519.ts'
import { signRequest } from '../trust/request-profile.ts'
import type { RequestBinding, Signer } from '../trust/request-profile.ts'
import { withClockSkew } from './clock-skew.ts'
import { readKeyFile, signerOf } from './key-file.ts'
import type { KeyFile } from './key-file.ts'
import { requestBody } from './read-body.ts'
import { socketFetch } from './socket-fetch.ts'
import { verifiedResponse } from './verified-response.ts'

/** Options of `veritFetch`. */
export interface VeritFetchOptions {
  /**
   * Path of a key file (docs/reference/request-signing.md), or its content. Absent: requests are sent unsigned, with
   * their own headers.
   */
  readonly keyFile?: string | KeyFile
  /**
   * The server, for example `https://verit.example`: requests to any other are refused. Default: the server of the
   * first request.
   */
  readonly url?: string
  /**
   * The server's public key (PEM or base64). With it, an answer that the server did not sign, for this very request, is
   * an error.
   */
  readonly serverKey?: string
  /** Longest body of a request, and of an answer that is checked, in bytes. Default 64 MiB. */
  readonly bodyLimit?: number
  /**
   * Path of a Unix socket that the server listens on; `url` then names the Host alone, for example `http://localhost`.
   * Default: none.
   */
  readonly socket?: string
  /** Sends the requests. Default: the global fetch, or one over `socket`. */
  readonly fetch?: typeof fetch
}

/** Fields that only this fetch may set, and credentials of an SDK, which the signature replaces. */
const OWN = ['content-digest', 'signature', 'signature-input', 'host']
const REPLACED = ['authorization', 'x-api-key', 'cookie']

/**
 * Makes a `fetch` for one server. Redirects are never followed: they are errors, or returned with `redirect: 'manual'`.
 * Each retry of an SDK is signed anew.
 * @throws VeritError VERIT_KEY_FILE, VERIT_PUBLIC_KEY and those of reading a file. The returned function rejects with
 *   VERIT_CLIENT if a request cannot be signed, VERIT_ANSWER if an answer cannot be trusted, and as fetch does
 */
export function veritFetch(options: VeritFetchOptions): typeof fetch {
  const { keyFile, serverKey: keyText, bodyLimit = 64 << 20 } = options
  const signer = typeof keyFile === 'string' ? signerOf(readKeyFile(keyFile), keyFile) : keyFile && signerOf(keyFile)
  const serverKey = keyText === undefined ? undefined : ed25519FromSpki(ed25519FromText(keyText))
  let origin = options.url === undefined ? undefined : originOf(options.url)
  const send = options.fetch ?? (options.socket === undefined ? fetch : socketFetch(options.socket))

  return async (input, init) => {
    const request = new Request(input as string, { ...init, duplex: 'half' } as RequestInit)
    const url = new URL(request.url)
    origin ??= url.origin
    if (url.origin !== origin) refuse(`it goes to ${url.origin}, not to ${origin}`, 'Make a veritFetch for each server')
    if (signer !== undefined && url.search !== '')
      refuse('its address has a query, which would not be signed', 'Leave the query out')
    const body = await requestBody(request, bodyLimit)
    const headers = new Headers(request.headers)
    for (const name of signer === undefined ? OWN : [...OWN, ...REPLACED]) headers.delete(name)
    // digests cover the bytes on the wire; fetch shows only decompressed ones
    if (serverKey !== undefined) headers.set('accept-encoding', 'identity')
    const binding = bind(request.method, url, headers, body, signer, serverKey)
    const response = await send(url, {
      ...init,
      method: request.method,
      headers,
      signal: request.signal,
      redirect: request.redirect === 'manual' ? 'manual' : 'error',
      body: body.length === 0 ? null : body
    })
    if (serverKey === undefined) return withClockSkew(response)
    return withClockSkew(await verifiedResponse(response, binding, serverKey, bodyLimit))
  }
}

/** Adds the signature, or a nonce that binds the answer to an unsigned request. */
function bind(
  method: string,
  url: URL,
  headers: Headers,
  body: Uint8Array,
  signer: Signer | undefined,
  serverKey: KeyObject | undefined
): RequestBinding {
  const target = { method, authority: url.host, path: url.pathname }
  if (signer === undefined) {
    const digest = serverKey === undefined || body.length === 0 ? undefined : contentDigest(body)
    if (digest !== undefined) headers.set('content-digest', digest)
    return { ...target, contentDigest: digest, signature: undefined }
  }
  if (body.length > 0 && !headers.has('content-type'))
    refuse('its body has no content-type', 'Set the content-type header')
  const signed = signRequest({ ...target, headers: Object.fromEntries(headers), body }, signer)
  for (const [name, value] of Object.entries(signed.headers)) headers.set(name, value)
  return signed.binding
}

function originOf(text: string): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    refuse('the url of the server is not an http or https address', 'Give one like https://verit.example')
  }
  return url.origin
}

function refuse(problem: string, fix: string): never {
  throw new VeritError('VERIT_CLIENT', { problem, fix })
}

/**
 * A small HTTP server that checks requests by the profile and signs its answers, for tests of clients: no gateway, no
 * model, one credential.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { generateKeyPairSync } from 'node:crypto'
import { VeritError } from '../src/lib/errors.ts'
import { checkContentDigest } from '../src/trust/content-digest.ts'
import { ed25519ToSpki } from '../src/trust/ed25519.ts'
import { checkCreated, readRequestSignature, verifyRequestSignature } from '../src/trust/request-profile.ts'
import type { RequestBinding } from '../src/trust/request-profile.ts'
import { serverKeyId, signResponse } from '../src/trust/response-profile.ts'
import { StreamSigner } from '../src/trust/stream-signature.ts'

export interface SignedServerOptions {
  credential?: { publicKey: Uint8Array | undefined; signingSecret: Uint8Array | undefined }
  /** Seconds by which the clock of the server is ahead. */
  ahead?: number
  /** Changes what is sent, as someone between the two would. */
  tamper?: {
    headers?: (headers: Record<string, string>) => void
    body?: (body: string) => string
    end?: (end: string) => string
  }
  sign?: boolean
  /**
   * Bodies by path: a text is sent whole, a list as a stream of events, a number as an error of that status. Default:
   * an answer to a chat.
   */
  answers?: Record<string, string | string[] | number>
}

export interface SignedServer extends AsyncDisposable {
  readonly url: string
  /** The server's public key, base64. */
  readonly serverKey: string
  /** Each request that was accepted: its nonce, and its header names. */
  readonly accepted: { nonce: string | undefined; body: string; headers: IncomingMessage['headers'] }[]
}

const chat = (fields: object): string =>
  JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'default', ...fields })
const whole = chat({
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'Hello there' } }]
})
const streamed = ['Hel', 'lo'].map(
  content =>
    `data: ${chat({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`
)

export async function signedServer(options: SignedServerOptions = {}): Promise<SignedServer> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const key = { keyId: serverKeyId(publicKey), privateKey }
  const accepted: SignedServer['accepted'] = []

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const { method = '', url: path = '', headers } = request
    const authority = headers.host ?? ''
    const now = Math.floor(Date.now() / 1000) + (options.ahead ?? 0)
    let binding: RequestBinding = { method, authority, path, contentDigest: undefined, signature: undefined }
    let answer: string | string[] | number
    let error = ''
    try {
      if (options.credential === undefined) {
        if (headers['content-digest'] !== undefined)
          binding = { ...binding, contentDigest: String(headers['content-digest']) }
      } else {
        const read = readRequestSignature(request.rawHeaders, method, authority, path, body.length > 0)
        binding = read
        if (!verifyRequestSignature(read, options.credential))
          throw new VeritError('VERIT_SIGNATURE', { problem: 'it does not hold' })
        checkCreated(read.created, 60, now)
        if (accepted.some(a => a.nonce === read.nonce))
          throw new VeritError('VERIT_SIGNATURE', { problem: 'its nonce has been used' })
        accepted.push({ nonce: read.nonce, body: body.toString(), headers })
      }
      if (binding.contentDigest !== undefined) checkContentDigest(binding.contentDigest, body)
      if (options.credential === undefined) accepted.push({ nonce: undefined, body: body.toString(), headers })
      const asked = body.length > 0 ? (JSON.parse(body.toString()) as { stream?: boolean }) : {}
      answer = options.answers?.[path] ?? (asked.stream === true ? [...streamed, 'data: [DONE]\n\n'] : whole)
    } catch (e) {
      if (!VeritError.is(e)) throw e
      answer = e.status
      error = e.message
    }
    send(response, answer, error, binding, now)
  }

  const send = (
    response: ServerResponse,
    answer: string | string[] | number,
    error: string,
    binding: RequestBinding,
    now: number
  ): void => {
    const tamper = options.tamper ?? {}
    const status = typeof answer === 'number' ? answer : 200
    const text =
      typeof answer === 'number'
        ? JSON.stringify({
            error: { message: error || 'refused', type: 'invalid_request_error', param: null, code: 'VERIT_TEST' }
          })
        : answer
    const type = { 'content-type': typeof text === 'string' ? 'application/json' : 'text/event-stream; charset=utf-8' }
    const signed =
      options.sign === false
        ? undefined
        : signResponse(
            { status, headers: type, ...(typeof text === 'string' ? { body: Buffer.from(text) } : {}) },
            binding,
            key,
            now
          )
    const headers: Record<string, string> = { ...type, ...signed?.headers, date: new Date(now * 1000).toUTCString() }
    tamper.headers?.(headers)
    response.writeHead(status, headers)
    const change = tamper.body ?? (t => t)
    if (typeof text === 'string') return void response.end(change(text))
    const signer = signed === undefined ? undefined : new StreamSigner(signed.signature, privateKey)
    for (const event of text) {
      signer?.update(event)
      response.write(change(event))
    }
    response.end(signer === undefined ? '' : (tamper.end ?? (t => t))(signer.end()))
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    serverKey: ed25519ToSpki(publicKey).toString('base64'),
    accepted,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    }
  }
}

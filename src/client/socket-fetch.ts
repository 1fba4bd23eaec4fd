/**
 * A `fetch` over a Unix socket, which Node's own cannot use: the URL names the Host and the path, the socket is where
 * the request goes.
 */
import { request as sendRequest } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/** Answers of these statuses have no body (Fetch standard, "null body status"). */
const NO_BODY = new Set([101, 103, 204, 205, 304])

/**
 * Makes a `fetch` that sends all requests to one Unix socket. Redirects are returned, never followed; answers are not
 * decompressed. It rejects with a TypeError if the socket cannot be reached, as fetch does.
 */
export function socketFetch(socketPath: string): typeof fetch {
  return async (input, init) => {
    const request = new Request(input as string, init)
    const url = new URL(request.url)
    const body = request.body === null ? undefined : Buffer.from(await request.arrayBuffer())
    const headers: Record<string, string> = { ...Object.fromEntries(request.headers), host: url.host }
    if (body !== undefined) headers['content-length'] = String(body.length)
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const path = url.pathname + url.search
      const out = sendRequest({
        socketPath,
        method: request.method,
        path,
        headers,
        signal: request.signal,
        agent: false
      })
      out.once('response', resolve)
      out.once('error', e =>
        reject(request.signal.aborted ? (request.signal.reason as Error) : new TypeError('fetch failed', { cause: e }))
      )
      out.end(body)
    })
    const { statusCode = 0, statusMessage = '', rawHeaders } = answer
    const fields = Array.from({ length: rawHeaders.length / 2 }, (_, i): [string, string] => [
      rawHeaders[2 * i]!,
      rawHeaders[2 * i + 1]!
    ])
    const stream =
      NO_BODY.has(statusCode) || request.method === 'HEAD' ? null : (Readable.toWeb(answer) as ReadableStream)
    if (stream === null) answer.resume()
    return new Response(stream, { status: statusCode, statusText: statusMessage, headers: fields })
  }
}

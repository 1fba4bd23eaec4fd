/** Bodies read whole, up to a limit: a digest needs all bytes before the first is sent or believed. */
import { VeritError } from '../lib/errors.ts'

/** The bytes of a stream. If it has more than `limit`, cancels it and returns undefined. */
export async function readWhole(
  stream: ReadableStream<Uint8Array> | null,
  limit: number
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream ?? []) {
    length += chunk.length
    if (length > limit) return undefined // leaving the loop cancels the stream
    chunks.push(chunk)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** The body of a request to be signed. @throws VeritError VERIT_CLIENT if it is a form or too long */
export async function requestBody(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  if (request.headers.get('content-type')?.startsWith('multipart/form-data') === true) {
    throw new VeritError('VERIT_CLIENT', {
      problem: 'a body that is a form (FormData) cannot be signed',
      fix: 'Send JSON'
    })
  }
  const body = await readWhole(request.body, limit)
  if (body === undefined) {
    throw new VeritError('VERIT_CLIENT', {
      problem: `its body has more than ${limit} bytes`,
      fix: 'Send a smaller one, or raise bodyLimit'
    })
  }
  return body
}

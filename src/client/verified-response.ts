/**
 * Responses that are handed on only when the server's signature fits them: a whole body once it is checked, a stream as
 * it comes, checked at its end.
 */
import type { KeyObject } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { checkContentDigest } from '../trust/content-digest.ts'
import type { RequestBinding } from '../trust/request-profile.ts'
import { verifyResponse } from '../trust/response-profile.ts'
import type { VerifiedResponse } from '../trust/response-profile.ts'
import { StreamChecker } from '../trust/stream-signature.ts'
import { clockSkew, errorOf } from './clock-skew.ts'
import { readWhole } from './read-body.ts'

const NO_BODY = [204, 205, 304]
const ERROR_BYTES = 65_536

function trusted<T>(work: () => T): T {
  try {
    return work()
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_SIGNATURE')) throw e
    throw new VeritError('VERIT_ANSWER', { problem: e.fields.problem }, e)
  }
}

/** Harmless facts about an untrusted answer, for an error: status and code, never its text; and a wrong clock. */
async function untrusted(response: Response, problem: string, cause?: unknown): Promise<VeritError> {
  const text = response.ok ? undefined : await readWhole(response.body, ERROR_BYTES)
  const code = text === undefined ? undefined : errorOf(new TextDecoder().decode(text))?.code
  const skew = response.status === 401 ? clockSkew(response.headers) : undefined
  const claim = `${response.status}${code === undefined ? '' : ` ${code}`}`
  return new VeritError(
    'VERIT_ANSWER',
    { problem: `${problem} (it says ${claim})${skew === undefined ? '' : `. ${skew}`}` },
    cause
  )
}

/** The signature of the head. */
async function verifiedHead(
  response: Response,
  request: RequestBinding,
  serverKey: KeyObject
): Promise<VerifiedResponse> {
  const { status, headers } = response
  if (!headers.has('signature')) throw await untrusted(response, 'it is not signed')
  try {
    return verifyResponse({ status, headers: [...headers] }, request, serverKey)
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_SIGNATURE')) throw e
    throw await untrusted(response, e.fields.problem, e)
  }
}

function streamed(
  body: ReadableStream<Uint8Array>,
  signature: Uint8Array,
  serverKey: KeyObject
): ReadableStream<Uint8Array> {
  const checker = new StreamChecker(signature, serverKey)
  return body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const passed = trusted(() => checker.push(chunk))
        if (passed.length > 0) controller.enqueue(passed)
      },
      flush: () => trusted(() => checker.end())
    })
  )
}

/**
 * Checks the response to a request.
 * @param limit longest whole body, in bytes
 * @throws VeritError VERIT_ANSWER; for a stream, reading it fails with that
 */
export async function verifiedResponse(
  response: Response,
  request: RequestBinding,
  serverKey: KeyObject,
  limit: number
): Promise<Response> {
  const { status, statusText, headers } = response
  try {
    const { signature, contentDigest } = await verifiedHead(response, request, serverKey)
    let body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>
    if (contentDigest === undefined) {
      body = streamed(response.body ?? new Blob([]).stream(), signature, serverKey)
    } else {
      const whole = await readWhole(response.body, limit)
      if (whole === undefined)
        throw new VeritError('VERIT_ANSWER', { problem: `its body has more than ${limit} bytes` })
      trusted(() => checkContentDigest(contentDigest, whole))
      body = whole
    }
    const verified = new Response(NO_BODY.includes(status) ? null : body, { status, statusText, headers })
    Object.defineProperty(verified, 'url', { value: response.url })
    return verified
  } catch (e) {
    if (!response.bodyUsed) await response.body?.cancel()
    throw e
  }
}

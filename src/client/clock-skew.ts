/**
 * A wrong clock is the usual reason for refused signatures, and nobody looks for it there. So the error mentions it.
 */
import { readWhole } from './read-body.ts'

/** Seconds between two clocks that are worth telling. */
const NOTABLE = 30
const MAX_BYTES = 65_536

/**
 * A sentence about the difference between this clock and the server's Date field; undefined if it is small or unknown.
 */
export function clockSkew(headers: Headers, now = Date.now()): string | undefined {
  const server = Date.parse(headers.get('date') ?? '')
  const seconds = Math.round((now - server) / 1000)
  if (!(Math.abs(seconds) >= NOTABLE)) return undefined
  return (
    `The clock of this computer is ${Math.abs(seconds)} s ${seconds < 0 ? 'behind' : 'ahead of'} the ` +
    `server's: set it right`
  )
}

/** The error message of an answer in OpenAI's form, and its code. */
export function errorOf(
  text: string
): { body: { error: Record<string, unknown> }; message: string; code: string | undefined } | undefined {
  try {
    const body = JSON.parse(text) as { error: Record<string, unknown> }
    const { message, code } = body.error
    if (typeof message !== 'string') return undefined
    return { body, message, code: typeof code === 'string' && /^[A-Z_]{1,40}$/.test(code) ? code : undefined }
  } catch {
    return undefined
  }
}

/** A 401 whose message mentions a wrong clock if that may be the reason; any other response unchanged. */
export async function withClockSkew(response: Response): Promise<Response> {
  const skew = response.status === 401 ? clockSkew(response.headers) : undefined
  if (skew === undefined) return response
  const bytes = (await readWhole(response.body, MAX_BYTES)) ?? new Uint8Array()
  const error = errorOf(new TextDecoder().decode(bytes))
  const headers = new Headers(response.headers)
  for (const name of ['content-length', 'content-digest', 'signature', 'signature-input']) headers.delete(name)
  if (error !== undefined) error.body.error['message'] = `${error.message} ${skew}.`
  return new Response(error === undefined ? bytes : JSON.stringify(error.body), {
    status: response.status,
    statusText: response.statusText,
    headers
  })
}

/**
 * Requests that send something to a hub: under the rules of every request, without redirects, with answers of bounded
 * size and time. A token goes to the origin of the hub and nowhere else.
 */
import type { IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import type { Static, TSchema } from 'typebox'
import { Value } from 'typebox/value'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { parseStrictJson } from '../lib/strict-json.ts'
import { connectionError, request } from './request.ts'
import type { Answer, Outgoing, RequestRules } from './request.ts'

const MAX_ANSWER = 1 << 20
const ATTEMPTS = 5
const LONGEST_WAIT_S = 120

export interface PushRules extends RequestRules {
  /** Where the token goes. */
  readonly origin: string
  readonly token: string | undefined
  /** Told before a wait. */
  readonly onWait?: (seconds: number, reason: string) => void
}

export const refusePush = (host: string, problem: string, hint = 'Try again later, or tell its operator'): never => {
  throw new VeritError('VERIT_PUSH_ANSWER', { host, problem, hint })
}

const ADVICE: Readonly<Record<number, [problem: string, hint: string]>> = {
  401: [
    'it wants permission (status 401)',
    'Give a token that may write there: VERIT_HUB_TOKEN or HF_TOKEN for a hub, VERIT_PUT_TOKEN for an address'
  ],
  403: ['the token may not write there (status 403)', 'Give a token that may write to this repository'],
  404: [
    'there is no such repository or branch (status 404)',
    'Create it on the hub first, and check owner, repository and branch'
  ],
  409: [
    'the branch was changed meanwhile, or it is in use (status 409)',
    'Look at what is there, and run the same command again'
  ],
  412: ['the branch was changed meanwhile (status 412)', 'Look at what is there, and run the same command again'],
  413: ['it is too large for it (status 413)', 'Ask its operator for more room']
}

/**
 * Sends, waits if the host asks to (429, 503), and returns the answer of status 200 to 299. The caller must read or
 * destroy its body.
 * @param outgoing made anew for each attempt
 * @throws VeritError VERIT_PUSH_ANSWER, VERIT_PUSH_CONNECTION, VERIT_PULL_ADDRESS; the reason of `rules.signal`
 */
export async function sendTo(
  url: URL,
  headers: Readonly<Record<string, string>>,
  outgoing: () => Outgoing,
  rules: PushRules
): Promise<Answer> {
  const own: Record<string, string> =
    rules.token !== undefined && url.origin === rules.origin ? { authorization: `Bearer ${rules.token}` } : {}
  for (let attempt = 1; ; attempt++) {
    const answer = await request(url, { ...headers, ...own }, rules, outgoing()).catch((e: unknown) => {
      throw asPush(e)
    })
    const status = answer.response.statusCode ?? 0
    if (status >= 200 && status < 300) return answer
    answer.response.on('error', () => undefined).destroy()
    if (status >= 300 && status < 400)
      refusePush(
        url.host,
        'it redirects, which is not followed with a model and a token',
        'Give the address that it should go to'
      )
    if (status !== 429 && status !== 503) {
      const [problem, hint] = ADVICE[status] ?? [`status ${status}`]
      refusePush(url.host, problem, hint)
    }
    const wait = secondsOf(answer.response)
    if (attempt === ATTEMPTS || wait > LONGEST_WAIT_S)
      refusePush(url.host, `it asks to wait ${Math.ceil(wait)} s (status ${status})`, 'Try again after that time')
    if (wait >= 1) rules.onWait?.(wait, `${url.host} asks to wait`)
    await pause(wait * 1000, undefined, rules.signal === undefined ? {} : { signal: rules.signal }).catch(() => {
      throw rules.signal!.reason
    })
  }
}

const secondsOf = (response: IncomingMessage): number => {
  const text = response.headers['retry-after'] ?? ''
  return /^\d{1,9}$/.test(text) ? Number(text) : 1
}

/** Sends a small text, and gives the answer as JSON of this form. @throws VeritError as `sendTo` */
export async function askHub<S extends TSchema>(
  url: URL,
  type: string,
  body: string,
  schema: S,
  rules: PushRules
): Promise<Static<S> & { fromPrivate: boolean }> {
  const bytes = Buffer.from(body)
  const total = AbortSignal.timeout(rules.answerMs ?? 300_000)
  const signal = rules.signal === undefined ? total : AbortSignal.any([rules.signal, total])
  let text: Buffer
  let fromPrivate: boolean
  try {
    const answer = await sendTo(
      url,
      { 'content-type': type, accept: type.endsWith('ndjson') ? 'application/json' : type },
      () => ({ method: 'POST', chunks: [bytes], bytes: bytes.length }),
      { ...rules, signal }
    )
    text = await readSmall(answer.response, url.host)
    ;({ fromPrivate } = answer)
  } catch (e) {
    if (rules.signal?.aborted === true) throw rules.signal.reason
    throw total.aborted
      ? new VeritError('VERIT_PUSH_CONNECTION', { host: url.host, reason: 'no whole answer came in time' }, e)
      : asPush(connectionError(url, e))
  }
  let value: unknown
  try {
    value = parseStrictJson(text)
  } catch (e) {
    return refusePush(
      url.host,
      `its answer cannot be read: ${VeritError.is(e) ? printable(e.what, 200) : 'it is not JSON'}`
    )
  }
  if (!Value.Check(schema, value)) return refusePush(url.host, 'its answer is not what a hub answers')
  return { ...(value as object), fromPrivate } as Static<S> & { fromPrivate: boolean }
}

async function readSmall(response: IncomingMessage, host: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > MAX_ANSWER) refusePush(host, `its answer has more than ${MAX_ANSWER.toLocaleString('en-US')} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    response.on('error', () => undefined).destroy()
  }
}

/** An interrupted upload is not an interrupted download. */
const asPush = (e: unknown): unknown =>
  VeritError.is(e, 'VERIT_PULL_CONNECTION')
    ? new VeritError('VERIT_PUSH_CONNECTION', { host: e.fields.host, reason: e.fields.reason }, e)
    : e

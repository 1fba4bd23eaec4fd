/**
 * Downloads the signature of a model: one small file beside it, under the rules of every download, with its own limits
 * of size and time. It is untrusted text until a trusted key has signed it.
 */
import { VeritError } from '../lib/errors.ts'
import { MAX_BUNDLE_BYTES } from '../trust/oms-bundle.ts'
import { follow } from './follow.ts'
import { connectionError } from './request.ts'
import type { RequestRules } from './request.ts'

/**
 * The bytes; undefined if the host has no such file.
 * @param token for the origin of `url` only @param totalMs time limit
 * @throws VeritError VERIT_PULL_ADDRESS, VERIT_PULL_REDIRECT, VERIT_PULL_CONNECTION, VERIT_PULL_ANSWER, VERIT_BUNDLE
 *   (too large); and the reason of `rules.signal`
 */
export async function fetchSignature(
  url: URL,
  token: string | undefined,
  rules: RequestRules,
  totalMs: number
): Promise<Buffer | undefined> {
  const late = AbortSignal.timeout(totalMs)
  const signal = rules.signal === undefined ? late : AbortSignal.any([rules.signal, late])
  try {
    return await read(url, token, { ...rules, signal })
  } catch (e) {
    if (rules.signal?.aborted === true) throw rules.signal.reason
    throw late.aborted
      ? new VeritError('VERIT_PULL_CONNECTION', { host: url.host, reason: 'the time for a signature was over' }, e)
      : e
  }
}

async function read(url: URL, token: string | undefined, rules: RequestRules): Promise<Buffer | undefined> {
  const { response, url: at } = await follow({ url, ...(token !== undefined && { token }) }, rules)
  const wrong = (problem: string): never => {
    throw new VeritError('VERIT_PULL_ANSWER', { host: at.host, problem, hint: 'Try again later, or tell its operator' })
  }
  const tooLarge = (): never => {
    throw new VeritError('VERIT_BUNDLE', {
      source: url.pathname.split('/').at(-1)!,
      problem: `it has more than ${MAX_BUNDLE_BYTES.toLocaleString('en-US')} bytes`
    })
  }
  try {
    const { statusCode: status, headers } = response
    if (status === 404 || status === 410) return undefined
    if (status !== 200) wrong(`status ${status}`)
    if (!['', 'identity'].includes((headers['content-encoding'] ?? '').toLowerCase()))
      wrong('it sends it compressed, which was not asked for')
    if (Number(headers['content-length'] ?? 0) > MAX_BUNDLE_BYTES) tooLarge()
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > MAX_BUNDLE_BYTES) tooLarge()
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } catch (e) {
    throw connectionError(at, e)
  } finally {
    response.on('error', () => undefined).destroy()
  }
}

/**
 * Downloads one file into the quarantine: bounded in size and time, resumed where the host allows it (Range with
 * If-Range), repeated a few times when the connection breaks or the host asks to wait. The result is complete by its
 * announced length, and not yet trusted.
 */
import { statfsSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { formatBytes } from '../lib/progress.ts'
import { follow } from './follow.ts'
import type { Asked, Found } from './follow.ts'
import type { ModelSource } from './model-source.ts'
import { isStrong } from './partial.ts'
import type { Partial } from './partial.ts'
import { connectionError } from './request.ts'
import type { RequestRules } from './request.ts'

/** Attempts in a row that bring not one byte. */
const ATTEMPTS = 5
const LONGEST_WAIT_S = 120

export interface DownloadOptions extends RequestRules {
  /** Bytes at most. Default 64 GiB. */
  readonly maxSize?: number
  /** Milliseconds for everything. Default 24 h. */
  readonly totalMs?: number
  /** Milliseconds before the first repetition, doubled each time. Default 1000. */
  readonly retryMs?: number
  /** Sent to the hub's origin only. */
  readonly token?: string | undefined
  /** Called as bytes arrive. */
  readonly onProgress?: (done: number, total: number) => void
  /** Told before a wait. */
  readonly onWait?: (seconds: number, reason: string) => void
}

export interface Downloaded {
  readonly size: number
  /** Commit of the repository, if the hub named it. */
  readonly revision: string | undefined
  /** SHA-256 that the hub announced, hexadecimal. */
  readonly announced: string | undefined
}

const HOUR_MS = 3_600_000
/** Bytes between two checks of the disk: other downloads and logs fill it too. */
const LOOK_BYTES = 64 << 20

/**
 * @param revision to ask for instead of the source's: a commit
 * @throws VeritError VERIT_PULL_*; received bytes stay in `partial`
 */
export async function download(
  source: ModelSource,
  revision: string | undefined,
  partial: Partial,
  options: DownloadOptions
): Promise<Downloaded> {
  const url = source.url(revision)
  const total = AbortSignal.timeout(options.totalMs ?? 24 * HOUR_MS)
  const rules = { ...options, signal: options.signal === undefined ? total : AbortSignal.any([options.signal, total]) }
  let most = partial.bytes
  let answered = false
  for (let failures = 0; ;) {
    let problem: unknown
    let wait = ((options.retryMs ?? 1000) * 2 ** failures) / 1000
    try {
      const done = await attempt(source, url, partial, rules, () => void (answered = true))
      if (typeof done !== 'number') return done
      problem = new VeritError('VERIT_PULL_ANSWER', {
        host: url.host,
        problem: 'it asks to wait, again and again',
        hint: 'Try again later'
      })
      wait = Math.max(wait, done)
      if (wait > LONGEST_WAIT_S)
        throw new VeritError('VERIT_PULL_ANSWER', {
          host: url.host,
          problem: `it asks to wait ${Math.ceil(wait)} s`,
          hint: 'Try again after that time'
        })
    } catch (e) {
      problem = e
      if (total.aborted)
        throw new VeritError(
          'VERIT_PULL_CONNECTION',
          { host: url.host, reason: 'the time for the whole download was over' },
          e
        )
      // a host that never answered is more likely mistyped than out of breath
      if (!answered || !VeritError.is(e, 'VERIT_PULL_CONNECTION')) throw e
    }
    failures = partial.bytes > most ? 1 : failures + 1
    most = Math.max(most, partial.bytes)
    if (failures >= ATTEMPTS) throw problem
    if (wait >= 1) options.onWait?.(wait, problem instanceof VeritError ? problem.what : '')
    await pause(wait * 1000, undefined, { signal: rules.signal }).catch((e: unknown) => {
      throw total.aborted
        ? new VeritError(
            'VERIT_PULL_CONNECTION',
            { host: url.host, reason: 'the time for the whole download was over' },
            e
          )
        : rules.signal.reason
    })
  }
}

/** One request. A number: the host asks to wait this many seconds. */
async function attempt(
  source: ModelSource,
  url: URL,
  partial: Partial,
  options: DownloadOptions,
  onAnswer: () => void
): Promise<Downloaded | number> {
  const kept = partial.about
  const asked: Asked = {
    url,
    ...(options.token !== undefined && source.kind === 'hub' && { token: options.token }),
    ...(kept !== undefined && { from: { byte: partial.bytes, etag: kept.etag } })
  }
  const found = await follow(asked, options)
  onAnswer()
  const { response } = found
  try {
    const status = response.statusCode ?? 0
    if (status === 429 || status === 503) return retryAfter(response)
    if (status === 416 && asked.from !== undefined) {
      partial.restart(undefined)
      return 0
    }
    if (status !== 200 && !(status === 206 && asked.from !== undefined)) throw refused(found, source)
    const size = checkHead(found, source, partial, options)
    await body(found, source, partial, size, options)
    const { commit, sha256 } = found.facts
    return {
      size,
      revision: source.kind === 'hub' ? commit : undefined,
      announced: source.kind === 'hub' ? sha256 : undefined
    }
  } finally {
    response.on('error', () => undefined).destroy()
  }
}

/** Seconds of Retry-After (RFC 9110, section 10.2.3): a number, or a date; one without it. */
function retryAfter(response: IncomingMessage): number {
  const text = response.headers['retry-after'] ?? ''
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const date = Date.parse(text)
  return Number.isNaN(date) ? 1 : Math.max(0, (date - Date.now()) / 1000)
}

function refused({ response, url }: Found, source: ModelSource): VeritError {
  const status = response.statusCode ?? 0
  const answer = (problem: string, hint: string): VeritError =>
    new VeritError('VERIT_PULL_ANSWER', { host: url.host, problem, hint })
  if (status === 401 || status === 403) {
    return answer(
      `it wants permission (status ${status})`,
      source.kind === 'hub'
        ? 'Accept the terms of the repository on the hub, if it has any, and give a token that may read it in ' +
            'HF_TOKEN or HF_TOKEN_FILE'
        : 'Use a source that needs no password'
    )
  }
  if (status === 404 || status === 410)
    return answer(`it has no such file (status ${status})`, 'Check owner, repository, revision and file')
  return answer(`status ${status}`, 'Try again later, or use another source')
}

/**
 * Checks length, encoding and range before a byte is kept, and prepares `partial` to resume.
 * @returns bytes of the whole file
 */
function checkHead(
  { response, url, facts }: Found,
  source: ModelSource,
  partial: Partial,
  options: DownloadOptions
): number {
  const wrong = (problem: string, hint = 'Use another source, or tell its operator'): never => {
    throw new VeritError('VERIT_PULL_ANSWER', { host: url.host, problem, hint })
  }
  const { headers, statusCode } = response
  if (!['', 'identity'].includes((headers['content-encoding'] ?? '').toLowerCase()))
    wrong('it sends it compressed, which was not asked for')
  if (headers['transfer-encoding'] !== undefined || !/^\d{1,15}$/.test(headers['content-length'] ?? ''))
    wrong('it does not say how long the file is')
  const length = Number(headers['content-length'])
  const etag = String(headers.etag ?? '')
  let size = length
  if (statusCode === 206) {
    const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '')
    const [first, last, whole] = range?.slice(1).map(Number) ?? []
    const fits =
      first === partial.bytes &&
      last === whole! - 1 &&
      whole === first + length &&
      whole === partial.about?.size &&
      etag === partial.about.etag
    if (!fits) {
      // the file has changed, or the host mixes files: none of the received bytes may be used
      partial.restart(undefined)
      throw new VeritError('VERIT_PULL_CONNECTION', { host: url.host, reason: 'it went on with another file' })
    }
    size = whole!
  }
  if (source.kind === 'hub' && facts.size !== undefined && facts.size !== size)
    wrong(`the hub announces ${facts.size} bytes, and the answer ${size}`)
  const limit = options.maxSize ?? 64 * 2 ** 30
  if (size > limit) throw new VeritError('VERIT_PULL_SIZE', { source: source.id, size, limit, by: 'limit' })
  checkRoom(source, partial, length)
  if (statusCode === 200) partial.restart(isStrong(etag) ? { etag, size } : undefined)
  return size
}

/**
 * Bytes that a download may add to a disk: 1 GiB or 5 % of it, whichever is less, stay free, because the audit log and
 * the state may be there too.
 * @param folder any on that disk
 */
export function roomFor(folder: string): number {
  const { bavail, blocks, bsize } = statfsSync(folder)
  return Math.max(0, Math.floor(bavail * bsize - Math.min(2 ** 30, (blocks * bsize) / 20)))
}

/** @throws VeritError VERIT_PULL_SIZE */
function checkRoom(source: ModelSource, partial: Partial, size: number): void {
  const limit = roomFor(partial.folder)
  if (size > limit) throw new VeritError('VERIT_PULL_SIZE', { source: source.id, size, limit, by: 'disk' })
}

/** The parser of HTTP ends the body at its announced length, and reports one that is shorter. */
async function body(
  { response, url }: Found,
  source: ModelSource,
  partial: Partial,
  size: number,
  options: DownloadOptions
): Promise<void> {
  let looked = partial.bytes
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      partial.append(chunk)
      if (partial.bytes - looked >= LOOK_BYTES) {
        checkRoom(source, partial, size - partial.bytes)
        looked = partial.bytes
      }
      options.onProgress?.(partial.bytes, size)
    }
  } catch (e) {
    throw options.signal?.aborted === true ? options.signal.reason : connectionError(url, e)
  }
  if (partial.bytes !== size) {
    throw new VeritError('VERIT_PULL_CONNECTION', {
      host: url.host,
      reason: `the answer ended after ${formatBytes(partial.bytes)} of ${formatBytes(size)}`
    })
  }
}

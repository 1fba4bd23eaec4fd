/**
 * The shared counter of several gateways: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`, with TLS `rediss://`
 * (also `valkey://`, `valkeys://`). It holds a password, so it comes from VERIT_RATE_URL or the file that
 * VERIT_RATE_URL_FILE names, and is never shown.
 */
import { VeritError } from '../lib/errors.ts'
import { secretSetting } from '../lib/secret-setting.ts'

const SCHEMES: Readonly<Record<string, boolean>> = {
  'redis:': false,
  'valkey:': false,
  'rediss:': true,
  'valkeys:': true
}

export interface RateAddress {
  readonly host: string
  readonly port: number
  readonly database: number
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
}

/** The URL, or undefined where none is set. @throws VeritError VERIT_CONFIG, VERIT_FILE_NOT_FOUND, VERIT_FILE_IO */
export function rateUrl(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const url = secretSetting('VERIT_RATE_URL', env)
  if (url !== undefined) parseRateUrl(url)
  return url
}

/** @throws VeritError VERIT_CONFIG, which does not repeat the URL */
export function parseRateUrl(text: string): RateAddress {
  const refuse = (problem: string): never => {
    throw new VeritError('VERIT_CONFIG', { source: 'VERIT_RATE_URL', field: 'its value', problem })
  }
  const url = URL.parse(text) ?? refuse('is not a URL like rediss://user:password@host:6379/0')
  const tls = SCHEMES[url.protocol] ?? refuse('begins with neither redis:// nor rediss://')
  if (url.hostname === '') refuse('names no host')
  if (url.search !== '' || url.hash !== '') refuse('has a query or fragment, which means nothing here')
  const database = /^\/?(\d{0,4})$/.exec(url.pathname)?.[1] ?? refuse('has a path that is not the number of a database')
  const decoded = (part: string): string | undefined => {
    try {
      return part === '' ? undefined : decodeURIComponent(part)
    } catch {
      return refuse('has a "%" in user or password that escapes nothing: write it as %25')
    }
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6379 : Number(url.port),
    database: Number(database),
    tls,
    username: decoded(url.username),
    password: decoded(url.password)
  }
}

/** Shared by the commands of `verit keys`: the store, the options of a key, and their parsing. */
import { X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { InvalidArgumentError, Option } from 'commander'
import type { Command } from 'commander'
import { defined } from '../lib/defined.ts'
import { parseDuration } from '../lib/duration.ts'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { formatDuration } from '../lib/progress.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { databaseUrl } from '../store/database-url.ts'
import { scopes as allScopes, signingRules } from '../store/key-store.ts'
import type { KeyChange, KeyLimits, Scope, SigningRule } from '../store/key-store.ts'
import { briefly, openStore } from '../store/open-store.ts'
import { defaultStateFolder, namedFolder } from '../store/state-folder.ts'
import type { Store } from '../store/store.ts'
import { ed25519FromText } from '../trust/ed25519.ts'

export interface Common {
  state: string
  json?: boolean
}

/** `none` takes a limit away, so that the server's default holds. */
type LimitOption = number | 'none'

export interface Policy {
  name?: string
  owner?: string
  scope?: Scope[]
  model?: string[]
  address?: string[]
  expires?: string
  signing?: SigningRule
  requestsPerMinute?: LimitOption
  tokensPerMinute?: LimitOption
  streams?: LimitOption
  tokensPerDay?: LimitOption
  tokensPerMonth?: LimitOption
  promptTokens?: LimitOption
  outputTokens?: LimitOption
}

const MAX_PUBLIC_BYTES = 65_536
const CLOCK_TOLERANCE_MS = 30_000

/** Flag, field and meaning of each limit. */
const limitOptions: readonly (readonly [string, keyof KeyLimits, string])[] = [
  ['--requests-per-minute', 'requestsPerMinute', 'rate limit of requests'],
  ['--tokens-per-minute', 'tokensPerMinute', 'rate limit of tokens, prompt and answer together'],
  ['--streams', 'streams', 'maximum number of concurrent generations, running and waiting'],
  ['--tokens-per-day', 'tokensPerDay', 'token budget per UTC day'],
  ['--tokens-per-month', 'tokensPerMonth', 'token budget per UTC month'],
  ['--prompt-tokens', 'promptTokens', 'maximum length of a prompt'],
  ['--output-tokens', 'outputTokens', 'maximum length of an answer']
]

const limit = (text: string): LimitOption => {
  if (text === 'none') return text
  const n = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(n) || n < 1)
    throw new InvalidArgumentError('It must be a whole number of at least 1, or none.')
  return n
}

export const duration = (text: string): number => {
  const seconds = parseDuration(text)
  if (seconds === undefined) throw new InvalidArgumentError('It must be a number and a unit: 30m, 24h, 90d.')
  return seconds
}

/** `90d`, a date, or never. The store checks dates. */
const expiry = (text: string): string => {
  const seconds = parseDuration(text)
  return seconds === undefined ? text : new Date(Date.now() + seconds * 1000).toISOString()
}

/** Several, separated by spaces or commas. */
const scopeList = (text: string, before: Scope[] | undefined): Scope[] => {
  const named = text.split(',').map(name => allScopes.find(s => s === name))
  if (named.includes(undefined))
    throw new InvalidArgumentError(`It must be any of ${allScopes.join(', ')}, separated by spaces or commas.`)
  return [...(before ?? []), ...(named as Scope[])]
}

export function shared(command: Command): Command {
  return command
    .option('--state <folder>', "folder of API keys and the server's secret", defaultStateFolder())
    .option('--json', 'print JSON')
}

/** The options of create and change. */
export function policyOptions(command: Command): Command {
  command
    .option('--owner <text>', 'person or team responsible for the key')
    .option('--scope <scopes...>', `scopes: any of ${allScopes.join(' ')}`, scopeList)
    .option('--model <names...>', 'allowlist of models')
    .option('--address <addresses...>', 'allowlist of client addresses and CIDR blocks')
    .option('--expires <when>', 'expiry: 90d, 2027-01-31, 2027-01-31T12:00:00Z, never', expiry)
    .addOption(new Option('--signing <rule>', 'whether requests must be signed').choices(signingRules))
  for (const [flag, , meaning] of limitOptions) command.option(`${flag} <n>`, meaning, limit)
  return command
}

/** The limits of a key with those of the options in their place. Undefined if no option was given. */
export function limitsOf(options: Policy, before: KeyLimits = {}): KeyLimits | undefined {
  const given = limitOptions
    .map(([, field]) => [field, options[field]] as const)
    .filter(([, value]) => value !== undefined)
  if (given.length === 0) return undefined
  const all: Record<string, LimitOption | undefined> = { ...before, ...Object.fromEntries(given) }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== 'none')) as KeyLimits
}

/** Options to the store's names, but for limits and the end. */
export function fieldsOf({
  name,
  owner,
  scope,
  model,
  address,
  signing
}: Policy): Omit<KeyChange, 'limits' | 'expires'> {
  return defined({ name, owner, scopes: scope, models: model, addresses: address, signing })
}

interface StoreUse {
  /**
   * Whether a folder that holds nothing yet becomes a server's state. Otherwise it is a mistyped --state, or another
   * user's home. Default false.
   */
  begin?: boolean
  /** Whether to report on standard error that the clock is behind the store's time. Default true. */
  warn?: boolean
}

/** Opens the store that a server with this state folder and environment uses, and closes it again. */
export async function withStore<T>(
  state: string,
  work: (store: Store) => Promise<T>,
  { begin = false, warn = true }: StoreUse = {}
): Promise<T> {
  const url = databaseUrl()
  if (!begin && url === undefined) checkBegun(state) // a database has its own check of the secret
  const store = await openStore({ stateFolder: state, databaseUrl: url, ...briefly })
  try {
    if (warn) warnOfClock(store)
    return await work(store)
  } finally {
    await store.close()
  }
}

/** Dates are judged by the store's time: one that is far ahead explains why a key has expired. */
function warnOfClock({ clock }: Store): void {
  const behind = clock.behind()
  if (behind <= CLOCK_TOLERANCE_MS) return
  const latest = new Date(Date.now() + behind).toISOString()
  process.stderr.write(
    `verit: the clock is ${formatDuration(behind / 1000)} behind the latest time that the store has ` +
      `seen (${latest}), by which keys expire. If the clock is right now: verit keys accept-clock\n`
  )
}

/** @throws VeritError VERIT_STATE if no server or `verit keys create` has used the folder */
export function checkBegun(state: string): void {
  const folder = namedFolder(state)
  if (existsSync(join(folder, 'secret'))) return
  const fix =
    'Name the folder of the server with --state (sudo has another home), or make a first key with `verit keys create`'
  throw new VeritError('VERIT_STATE', { path: state, problem: 'no server and no key has been there', fix })
}

/** Whoever can write this file obtains the key created from it. */
const readSmall = (path: string, purpose: string): Buffer =>
  readTrusted(path, { kind: 'decides', purpose, limit: MAX_PUBLIC_BYTES })

/** DER of a public key in PEM or base64. @throws VeritError VERIT_PUBLIC_KEY */
export function readPublicKey(path: string): Uint8Array {
  return ed25519FromText(readSmall(path, 'the public key').toString('utf8'))
}

/** DER of the first certificate in a file, PEM or DER. */
export function readCertificate(path: string): Uint8Array {
  const bytes = readSmall(path, 'the certificate')
  try {
    return new X509Certificate(bytes).raw
  } catch {
    throw new VeritError('VERIT_USAGE', {
      problem: `${printable(path)} holds no X.509 certificate`,
      hint: 'Give a file in PEM or DER'
    })
  }
}

export function noSuchKey(id: string): VeritError {
  return new VeritError('VERIT_USAGE', {
    problem: `There is no key ${printable(id, 80)}`,
    hint: '`verit keys list` shows the ids; --state names the folder of the server where it is another'
  })
}

export function notValid(id: string): VeritError {
  return new VeritError('VERIT_USAGE', {
    problem: `There is no valid key ${printable(id, 80)}`,
    hint: '`verit keys list` shows which there are; one that is revoked or expired stays so: make another'
  })
}

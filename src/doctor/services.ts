/**
 * Whether the store and rate state of the environment can be reached. Creates nothing: a state folder without a secret
 * stays unchanged.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readBounded } from '../audit/log-files.ts'
import { VeritError } from '../lib/errors.ts'
import { formatDuration } from '../lib/progress.ts'
import { secretSetting } from '../lib/secret-setting.ts'
import { databaseUrl } from '../store/database-url.ts'
import type { KeyRecord } from '../store/key-store.ts'
import { openRateState } from '../store/open-rate-state.ts'
import { briefly, openStore } from '../store/open-store.ts'
import { rateUrl } from '../store/rate-url.ts'
import type { Store } from '../store/store.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'
import type { Remembered } from './log-kept.ts'
import { hasBegun } from './state-files.ts'

const CLOCK_TOLERANCE_MS = 30_000
const MAX_KEY_BYTES = 10_000

export interface StoreCheck {
  readonly findings: Finding[]
  /** Undefined where the store cannot be read. */
  readonly keys: KeyRecord[] | undefined
  /** The audit log's checkpoint in the store. */
  readonly remembered?: Remembered
}

/** @param usable whether the state folder may be read at all */
export async function checkStore(state: string, usable: boolean, env: NodeJS.ProcessEnv): Promise<StoreCheck> {
  try {
    const url = databaseUrl(env)
    const kind = url === undefined ? 'SQLite, in the state folder' : 'PostgreSQL'
    if (!usable || !hasBegun(state) || (url === undefined && !existsSync(join(state, 'verit.sqlite')))) {
      return {
        findings: [note('store', `The key store (${kind}) was not opened: the state folder is not ready for it`)],
        keys: undefined
      }
    }
    const store = await openStore({ stateFolder: state, databaseUrl: url, ...briefly })
    try {
      const [keys, waiting] = [await store.keys.list(), await store.outbox.pending()]
      const findings = [ok('store', `The key store (${kind}) answers`)]
      if (waiting > 0)
        findings.push(
          note(
            'store.outbox',
            `${waiting} changes of keys are not in the audit log yet: a running server takes them over within ` +
              'seconds, the next start otherwise'
          )
        )
      findings.push(...clock(store))
      return { findings, keys, remembered: await remembered(store, join(state, 'audit')) }
    } finally {
      await store.close()
    }
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return { findings: [problem('store', e.what, e.next)], keys: undefined }
  }
}

function clock({ clock }: Store): Finding[] {
  const behind = clock.behind()
  if (behind <= CLOCK_TOLERANCE_MS) return []
  const says =
    `The clock is ${formatDuration(behind / 1000)} behind the latest time that the store has seen: ` +
    'signed requests are refused, and keys expire by that time'
  const fix = 'Set the clock right; if it is right, and was once ahead, run `verit keys accept-clock`'
  return [warning('store.clock', says, fix)]
}

async function remembered({ evidence }: Store, folder: string): Promise<Remembered> {
  const key = readBounded(join(folder, 'verifier-key'), MAX_KEY_BYTES)
  const checkpoint = key instanceof Buffer ? await evidence.checkpoint(key.toString('utf8').trim()) : undefined
  return { checkpoint, lastLog: await evidence.lastLog(), unaudited: await evidence.unaudited() }
}

/** Only the secret of the webhook is checked nowhere else. */
export function checkWebhookSecret(env: NodeJS.ProcessEnv): Finding[] {
  try {
    secretSetting('VERIT_WEBHOOK_SECRET', env)
    return []
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return [problem('watch.webhook', e.what, e.next)]
  }
}

export async function checkRateState(env: NodeJS.ProcessEnv): Promise<Finding> {
  try {
    const url = rateUrl(env)
    if (url === undefined) {
      const several = (env['VERIT_DATABASE_URL'] ?? '') + (env['VERIT_DATABASE_URL_FILE'] ?? '') !== ''
      return several
        ? note(
            'rates',
            'Keys are in PostgreSQL, but rates are counted by each gateway for itself',
            'Set VERIT_RATE_URL where several gateways share the keys'
          )
        : ok('rates', "Rates are counted in the server's own process")
    }
    await (await openRateState(url)).close()
    return ok('rates', 'The rate state (Valkey or Redis) answers')
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return problem('rates', e.what, e.next)
  }
}

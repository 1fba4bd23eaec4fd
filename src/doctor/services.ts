/** Whether the store and the rate state that the environment names can be reached. Nothing is made: a state folder without a secret is left as it is. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { databaseUrl } from '../store/database-url.ts'
import type { KeyRecord } from '../store/key-store.ts'
import { openRateState } from '../store/open-rate-state.ts'
import { briefly, openStore } from '../store/open-store.ts'
import { rateUrl } from '../store/rate-url.ts'
import { note, ok, problem } from './finding.ts'
import type { Finding } from './finding.ts'
import { hasBegun } from './state-files.ts'

export interface StoreCheck {
  readonly findings: Finding[]
  /** Undefined where the store cannot be read. */
  readonly keys: KeyRecord[] | undefined
}

/** @param usable whether the state folder may be read at all */
export async function checkStore(state: string, usable: boolean, env: NodeJS.ProcessEnv): Promise<StoreCheck> {
  try {
    const url = databaseUrl(env)
    const kind = url === undefined ? 'SQLite, in the state folder' : 'PostgreSQL'
    if (!usable || !hasBegun(state) || (url === undefined && !existsSync(join(state, 'verit.sqlite')))) {
      return { findings: [note('store', `The key store (${kind}) was not opened: the state folder is not ready for it`)], keys: undefined }
    }
    const store = await openStore({ stateFolder: state, databaseUrl: url, ...briefly })
    try {
      const [keys, waiting] = [await store.keys.list(), await store.outbox.pending()]
      const findings = [ok('store', `The key store (${kind}) answers`)]
      if (waiting > 0) findings.push(note('store.outbox', `${waiting} changes of keys are not in the audit log yet: a running server takes them over within seconds, the next start otherwise`))
      return { findings, keys }
    } finally {
      await store.close()
    }
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return { findings: [problem('store', e.what, e.next)], keys: undefined }
  }
}

export async function checkRateState(env: NodeJS.ProcessEnv): Promise<Finding> {
  try {
    const url = rateUrl(env)
    if (url === undefined) {
      const several = (env['VERIT_DATABASE_URL'] ?? '') + (env['VERIT_DATABASE_URL_FILE'] ?? '') !== ''
      return several ? note('rates', 'Keys are in PostgreSQL, but rates are counted by each gateway for itself', 'Set VERIT_RATE_URL where several gateways share the keys')
        : ok('rates', 'Rates are counted in the server\'s own process')
    }
    await (await openRateState(url)).close()
    return ok('rates', 'The rate state (Valkey or Redis) answers')
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return problem('rates', e.what, e.next)
  }
}

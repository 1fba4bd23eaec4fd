/**
 * What a start would refuse beyond its settings: the store, the rates, the audit log. It makes, repairs and writes
 * nothing.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openLogKey } from '../audit/log-key.ts'
import { recover } from '../audit/recover.ts'
import { checkPrivate } from '../lib/private-path.ts'
import { openRateState } from '../store/open-rate-state.ts'
import { peekStore } from '../store/open-store.ts'
import { isServed } from '../store/state-lock.ts'
import type { Evidence } from '../store/store.ts'
import type { ServerConfig } from './config.ts'
import type { ServeOptions } from './serve.ts'

type Checked = Pick<ServeOptions, 'config' | 'state' | 'databaseUrl' | 'rateUrl'>

/**
 * @returns whether a server runs on the state folder now; then its audit log, which is being written, is not looked at
 * @throws VeritError as a start would
 */
export async function checkStart({ config, state, databaseUrl, rateUrl }: Checked): Promise<{ served: boolean }> {
  const served = isServed(state)
  let looked = false
  await peekStore({ stateFolder: state, databaseUrl }, async evidence => {
    looked = true
    if (!served) await checkLog(config.audit, state, evidence)
  })
  if (!looked && !served) await checkLog(config.audit, state, undefined)
  if (rateUrl !== undefined) await (await openRateState(rateUrl)).close()
  return { served }
}

async function checkLog(settings: ServerConfig['audit'], state: string, evidence: Evidence | undefined): Promise<void> {
  const { enabled, origin } = settings
  const folder = join(state, 'audit')
  if (!enabled || !existsSync(folder)) return
  checkPrivate(folder, 'folder')
  if (!existsSync(join(folder, 'key')) && !existsSync(join(folder, 'tile'))) return // the start begins a log there
  const { verifier } = openLogKey(folder, origin)
  recover(folder, verifier, await evidence?.checkpoint(verifier.text), false)
}

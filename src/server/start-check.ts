/**
 * Finds problems of a start beyond its settings: the state folder, the store, the rates, the audit log. It does not
 * load the model (model-check.ts). It repairs nothing and leaves nothing behind.
 */
import { accessSync, constants, existsSync, rmdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openLogKey } from '../audit/log-key.ts'
import { recover } from '../audit/recover.ts'
import { fileError } from '../lib/file-error.ts'
import { makeFolder } from '../lib/make-folder.ts'
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
  checkFolder(state)
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

/** A missing folder is created and removed again: on some file systems only the attempt shows that it is impossible. */
function checkFolder(state: string): void {
  if (existsSync(state)) {
    checkPrivate(state, 'folder')
    try {
      return accessSync(state, constants.W_OK | constants.X_OK)
    } catch (e) {
      throw fileError(e, state, 'write')
    }
  }
  const missing: string[] = []
  for (let at = state; !existsSync(at); at = dirname(at)) missing.push(at)
  try {
    makeFolder(state, { ownerOnly: true })
  } finally {
    missing.forEach(removeEmpty)
  }
}

/** A folder that was not created here, or that another server now uses, stays. */
function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (e) {
    const { code = '' } = e as NodeJS.ErrnoException
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'ENAMETOOLONG'].includes(code))
      throw fileError(e, folder, 'write')
  }
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

/**
 * Compares the audit log with the server's database for `verit audit verify`: a rolled-back folder does not continue
 * the checkpoint there.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { databaseUrl } from '../store/database-url.ts'
import { withStore } from './keys-options.ts'

export interface DatabaseCheckpoint {
  /** A signed checkpoint; undefined: the database has none of this log. */
  readonly text: string | undefined
  /** Why there is no comparison, as a sentence; '' if there is one. */
  readonly note: string
}

/**
 * Read before the log: the database never leads, so the log has everything that it has.
 * @param key verifier key of the log; undefined: the folder has none
 */
export async function checkpointInDatabase(state: string, key: string | undefined): Promise<DatabaseCheckpoint> {
  const none = (note: string): DatabaseCheckpoint => ({ text: undefined, note })
  try {
    const hasStore = databaseUrl() !== undefined || existsSync(join(state, 'verit.sqlite'))
    if (!hasStore || !existsSync(join(state, 'secret'))) {
      return none('there is no database here to compare with')
    }
    if (key === undefined) return none('the folder has no key by which the database would know the log')
    return await withStore(
      state,
      async ({ evidence }) => {
        const text = await evidence.checkpoint(key)
        if (text !== undefined) return { text, note: '' }
        const last = await evidence.lastLog()
        return none(
          last === undefined
            ? 'the database knows no checkpoint of this log yet'
            : `the database knows another log (${printable(last.key)}): if nobody moved that away, it was replaced`
        )
      },
      { warn: false }
    )
  } catch (e) {
    if (!VeritError.is(e)) throw e
    return none(`the database could not be asked: ${e.what}`)
  }
}

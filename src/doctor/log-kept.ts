/**
 * A quick check of the audit log: its key, the signature of its newest checkpoint, whether the tree gives the root, its
 * newest entries, and whether it is the log that the database knows.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cosignedPath, readBounded } from '../audit/log-files.ts'
import { NodeReader, readCheckpoint, readEntries } from '../audit/reader.ts'
import { checkRemembered } from '../audit/remembered.ts'
import { VeritError } from '../lib/errors.ts'
import { plural } from '../lib/error-table.ts'
import type { KnownLog, UnauditedPeriod } from '../store/store.ts'
import { openCheckpoint } from '../trust/checkpoint.ts'
import { leafHash, rootOf } from '../trust/merkle.ts'
import { parseVerifierKey } from '../trust/note-key.ts'
import type { VerifierKey } from '../trust/note-key.ts'
import { TILE_WIDTH } from '../trust/tiles.ts'
import { note, ok, problem, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const REPLACED = 'If nobody moved that log away to begin a new one, look for who did, and put it back'
const IN_FULL = '`verit audit verify --checkpoint FILE`, with a checkpoint that was kept elsewhere, checks all of it'

/** The log's checkpoint in the database; read before the log, which never lags behind it. */
export interface Remembered {
  /** A signed checkpoint of the log with the key in the folder. */
  readonly checkpoint: string | undefined
  readonly lastLog: KnownLog | undefined
  readonly unaudited: UnauditedPeriod | undefined
}

/** A server that runs, or ran, without a log; nothing of it is in a log yet. */
export function checkUnaudited({ unaudited }: Remembered): Finding[] {
  if (unaudited === undefined) return []
  const { since, reason, requests, tokens } = unaudited
  const done = `${plural(requests, 'request')} with ${plural(tokens, 'token')}`
  const says = `Since ${since} the server has kept no audit log (${reason}): ${done} are in none`
  return [warning('audit.gap', says, 'Set audit.enabled = true: the next start records that time in the log')]
}

/** @param folder of the log */
export function checkLog(folder: string, now: number, remembered?: Remembered): Finding[] {
  const last = remembered?.lastLog
  if (!existsSync(folder)) {
    if (last === undefined) return [note('audit.log', 'There is no audit log yet: the first start begins it')]
    return [warning('audit.replaced', `There is no audit log, and the database knows one (${last.key})`, REPLACED)]
  }
  if (!existsSync(join(folder, 'key'))) {
    return [
      problem(
        'audit.key',
        `The audit log ${folder} has lost its key: nothing can be added to it`,
        'Restore the file `key` from a backup, or move the folder away to begin a new log'
      )
    ]
  }
  try {
    return [quickCheck(folder, now, remembered?.checkpoint), ...replaced(folder, last), kept(folder)]
  } catch (e) {
    if (!VeritError.is(e)) throw e
    // Some errors of the log already imply it.
    const first = /evidence/i.test(e.next)
      ? 'Run `verit audit verify`'
      : 'Run `verit audit verify` and keep the folder as evidence'
    return [problem('audit.log', e.what, `${first}. ${e.next}`)]
  }
}

/** The database knows another log: someone moved it away, or replaced it with this one. */
function replaced(folder: string, last: KnownLog | undefined): Finding[] {
  if (last === undefined || last.key === keyIn(folder).text) return []
  const says = `The database knows another audit log (${last.key}) than the one in ${folder}`
  return [warning('audit.replaced', says, REPLACED)]
}

function keyIn(folder: string): VerifierKey {
  const path = join(folder, 'verifier-key')
  const text = readBounded(path, 10_000)
  if (!(text instanceof Buffer))
    throw new VeritError('VERIT_AUDIT_DAMAGED', { file: path, problem: 'it is missing, or no regular file' })
  return parseVerifierKey(text.toString('utf8').trim(), path)
}

function quickCheck(folder: string, now: number, known: string | undefined): Finding {
  const key = keyIn(folder)
  const {
    checkpoint: { size, root }
  } = openCheckpoint(readCheckpoint(folder).note, key, 'The checkpoint')
  const nodes = new NodeReader(folder, size)
  const damaged = (problem: string): VeritError => new VeritError('VERIT_AUDIT_DAMAGED', { file: folder, problem })
  if (Buffer.compare(rootOf(size, nodes.node), root) !== 0)
    throw damaged(`its tiles do not give the root of the checkpoint of ${size} entries`)
  if (known !== undefined) checkRemembered(folder, key, known)
  if (size === 0) return ok('audit.log', `The audit log ${key.name} has begun and has no entries yet`)
  // The root covers a full last bundle only through its tile, so each entry is compared with it.
  let newest = ''
  for (const { index, entry, bytes } of readEntries(folder, {
    from: Math.floor((size - 1) / TILE_WIDTH) * TILE_WIDTH
  })) {
    if (Buffer.compare(leafHash(bytes), nodes.node(0, index)) !== 0)
      throw damaged(`entry ${index} is not the one that was signed`)
    newest = entry.time
  }
  const hours = Math.max(0, Math.floor((now - Date.parse(newest)) / 3_600_000))
  const age = hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`
  return ok(
    'audit.log',
    `The audit log ${key.name} has ${size} entries, the newest ${age} old; its checkpoint and last entries hold. ` +
      `${IN_FULL}`
  )
}

/** Whether the holder of the log could replace its past unnoticed. */
function kept(folder: string): Finding {
  if (existsSync(cosignedPath(folder))) return ok('audit.kept', 'A witness has cosigned the log')
  return note(
    'audit.kept',
    'Whether a checkpoint was kept elsewhere cannot be seen here; without one, a log that was written anew looks whole',
    'Copy `verit audit checkpoint` to another machine every day, or let a witness cosign (docs/internals/audit-log.md)'
  )
}

/**
 * Verifies a whole log with only its public key: every bundle, tile, entry, time, signature and root, and that it continues every older checkpoint.
 * Works on the folder while it is written, or on an exported copy; holds one bundle at a time. docs/audit.md says what it finds and what it cannot.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { VeritError } from '../lib/errors.ts'
import { parseCheckpoint } from '../trust/checkpoint.ts'
import type { Checkpoint } from '../trust/checkpoint.ts'
import { parseVerifierKey } from '../trust/note-key.ts'
import type { VerifierKey } from '../trust/note-key.ts'
import { parseNote, verifyNote } from '../trust/signed-note.ts'
import { foreignFiles } from './foreign-files.ts'
import { checkpointPath, cosignedPath, readNoteFile } from './log-files.ts'
import type { Problem } from './problems.ts'
import { TreeCheck } from './tree-check.ts'

export interface VerifyOptions {
  /** Key of the log. Default: the one in the folder, which proves only that the log agrees with itself. */
  key?: VerifierKey
  /** Checkpoints of the log that were kept elsewhere. */
  older?: readonly (string | { source: string; text: string })[]
  /** Witnesses that must have cosigned. */
  witnesses?: readonly VerifierKey[]
  onProgress?: (done: number, total: number) => void
}

export interface VerifyResult {
  readonly origin: string
  readonly size: number
  /** Root in the checkpoint. */
  readonly root: Buffer
  /** The key it was checked with. */
  readonly key: string
  /** At most 1,000, in the order they were found. */
  readonly problems: readonly Problem[]
  /** Cosignatures that hold: of whom, at what size, when (seconds since 1970). */
  readonly cosigned: readonly { name: string; size: number; time: number }[]
  /** Older checkpoints that the log continues. */
  readonly continued: number
  /** Whole entries in the file that no checkpoint covers yet. */
  readonly uncovered: number
}

const MOST = 1000

interface Known {
  source: string
  checkpoint: Checkpoint
}

/** @throws VeritError VERIT_FILE_NOT_FOUND when there is no log, VERIT_NOTE when the key in the folder is malformed */
export async function verifyLog(folder: string, options: VerifyOptions = {}): Promise<VerifyResult> {
  const problems: Problem[] = []
  const report = (problem: Problem): void => {
    if (problems.length < MOST) problems.push(problem)
  }
  if (!existsSync(folder)) throw new VeritError('VERIT_FILE_NOT_FOUND', { path: folder, purpose: 'the audit log' })
  const key = options.key ?? keyIn(folder)
  const witnesses = options.witnesses ?? []
  const cosigned: { name: string; size: number; time: number }[] = []

  const open = (source: string, data: Buffer | string | undefined, file?: string): Checkpoint | undefined => {
    const place = file === undefined ? {} : { file }
    if (data === undefined) {
      report({ kind: 'checkpoint', message: `${source} is missing`, ...place })
      return undefined
    }
    try {
      const note = parseNote(data, source)
      const checkpoint = parseCheckpoint(note.text, source)
      try {
        const signatures = verifyNote(note, [key, ...witnesses], source)
        if (!signatures.some(s => s.key === key)) report({ kind: 'wrong-key', message: `${source} is not signed by ${key.name}+${key.id}`, ...place })
        for (const s of signatures) if (s.time !== undefined) cosigned.push({ name: s.key.name, size: checkpoint.size, time: s.time })
      } catch (e) {
        report({ kind: 'signature', message: VeritError.is(e) ? e.what : String(e), ...place })
      }
      if (checkpoint.origin !== key.name) report({ kind: 'wrong-key', message: `${source} is of the log ${checkpoint.origin}, not ${key.name}`, ...place })
      return checkpoint
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_NOTE')) throw e
      report({ kind: 'checkpoint', message: e.what, ...place })
      return undefined
    }
  }

  const current = open('The checkpoint', readNoteFile(checkpointPath(folder)), 'checkpoint')
  const known: Known[] = []
  for (const [i, given] of (options.older ?? []).entries()) {
    const { source, text } = typeof given === 'string' ? { source: `Older checkpoint ${i + 1}`, text: given } : given
    const checkpoint = open(source, text)
    if (checkpoint !== undefined) known.push({ source, checkpoint })
  }
  if (existsSync(cosignedPath(folder))) {
    const checkpoint = open('The cosigned checkpoint', readNoteFile(cosignedPath(folder)), 'cosigned')
    if (checkpoint !== undefined) known.push({ source: 'The cosigned checkpoint', checkpoint })
  }
  for (const witness of witnesses) {
    if (!cosigned.some(c => c.name === witness.name)) report({ kind: 'witness', message: `there is no cosignature of ${witness.name}+${witness.id}` })
  }
  if (current === undefined) return { origin: key.name, size: 0, root: Buffer.alloc(0), key: key.text, problems, cosigned, continued: 0, uncovered: 0 }

  const live = existsSync(join(folder, 'verifier-key'))
  const check = new TreeCheck(folder, current, live, known.map(k => k.checkpoint.size), report)
  for (let done = 0; done < current.size; done = check.next()) {
    options.onProgress?.(done, current.size)
    await turn()
  }
  const found = check.finish()
  let continued = 0
  for (const { source, checkpoint } of known) {
    const { size, root } = checkpoint
    if (size > current.size) {
      report({ kind: 'rollback', message: `${source} covers ${size} entries, and the log has ${current.size}: it was set back, or the rest deleted`, index: current.size })
    } else if (found.rootAt(size) !== undefined && Buffer.compare(found.rootAt(size)!, root) !== 0) {
      const message = found.isSigned ? `${source} has another root for the first ${size} entries, though both are signed: the log shows different histories`
        : `the first ${size} entries do not give the root of ${source.replace(/^The /, 'the ')}`
      report({ kind: found.isSigned ? 'fork' : 'root', message, index: 0 })
    } else if (found.rootAt(size) !== undefined) continued++
  }
  for (const file of foreignFiles(folder, live)) report({ kind: 'foreign-file', message: 'it does not belong to the log, or is not a regular file', file })
  return { origin: current.origin, size: current.size, root: current.root, key: key.text, problems, cosigned, continued, uncovered: found.uncovered }
}

/** The key that lies in the folder itself. */
function keyIn(folder: string): VerifierKey {
  const path = join(folder, 'verifier-key')
  const data = readNoteFile(path)
  if (data === undefined) throw new VeritError('VERIT_USAGE', { problem: `${folder} holds no key to verify with`, hint: 'Give the key of the log with --key; `verit audit key` shows it on the server' })
  return parseVerifierKey(data.toString('utf8').trim(), path)
}

/**
 * Verifies a whole log with only its public key: every bundle, tile, entry, time, signature and root, and consistency
 * with every older checkpoint. Works on the folder while it is written, or on an exported copy; holds one bundle at a
 * time. docs/internals/audit-log.md lists what it finds and what it cannot.
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
import type { Note } from '../trust/signed-note.ts'
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
  /** Valid cosignatures: witness, size, time (seconds since 1970). */
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

/** @throws VeritError VERIT_FILE_NOT_FOUND if there is no log, VERIT_NOTE if the key in the folder is malformed */
export async function verifyLog(folder: string, options: VerifyOptions = {}): Promise<VerifyResult> {
  if (!existsSync(folder)) throw new VeritError('VERIT_FILE_NOT_FOUND', { path: folder, purpose: 'the audit log' })
  const problems: Problem[] = []
  const report = (problem: Problem): void => {
    if (problems.length < MOST) problems.push(problem)
  }
  const key = options.key ?? keyIn(folder)
  const notes = new NoteCheck(key, options.witnesses ?? [], report)
  const { cosigned } = notes
  const current = notes.read('The checkpoint', readNoteFile(checkpointPath(folder)), 'checkpoint')
  const known = gatherKnown(folder, options.older ?? [], notes)
  notes.checkWitnesses()
  if (current === undefined)
    return {
      origin: key.name,
      size: 0,
      root: Buffer.alloc(0),
      key: key.text,
      problems,
      cosigned,
      continued: 0,
      uncovered: 0
    }

  const live = existsSync(join(folder, 'verifier-key'))
  const check = new TreeCheck(
    folder,
    current,
    live,
    known.map(k => k.checkpoint.size),
    report
  )
  for (let done = 0; done < current.size; done = check.next()) {
    options.onProgress?.(done, current.size)
    await turn()
  }
  const { isSigned, rootAt, uncovered } = check.finish()
  let continued = 0
  for (const {
    source,
    checkpoint: { size, root }
  } of known) {
    const here = rootAt(size)
    if (size > current.size) {
      report({
        kind: 'rollback',
        message:
          `${source} covers ${size} entries, and the log has ${current.size}: it was set back, or the rest ` +
          'deleted',
        index: current.size
      })
    } else if (here !== undefined && Buffer.compare(here, root) === 0) {
      continued++
    } else if (here !== undefined) {
      const message = isSigned
        ? `${source} has another root for the first ${size} entries, though both are signed: the log shows ` +
          'different histories'
        : `the first ${size} entries do not give the root of ${source.replace(/^The /, 'the ')}`
      report({ kind: isSigned ? 'fork' : 'root', message, index: 0 })
    }
  }
  for (const file of foreignFiles(folder, live))
    report({ kind: 'foreign-file', message: 'it does not belong to the log, or is not a regular file', file })
  return {
    origin: current.origin,
    size: current.size,
    root: current.root,
    key: key.text,
    problems,
    cosigned,
    continued,
    uncovered
  }
}

/** The checkpoints that the log must continue: those given, and the one that witnesses have cosigned. */
function gatherKnown(folder: string, older: NonNullable<VerifyOptions['older']>, notes: NoteCheck): Known[] {
  const given = older.map((one, i) =>
    typeof one === 'string' ? { source: `Older checkpoint ${i + 1}`, text: one } : one
  )
  const known = given.map(({ source, text }) => ({ source, checkpoint: notes.read(source, text) }))
  if (existsSync(cosignedPath(folder))) {
    const source = 'The cosigned checkpoint'
    known.push({ source, checkpoint: notes.read(source, readNoteFile(cosignedPath(folder)), 'cosigned') })
  }
  return known.filter((k): k is Known => k.checkpoint !== undefined)
}

/** Reads checkpoints, reports their problems, and keeps valid cosignatures. */
class NoteCheck {
  readonly cosigned: { name: string; size: number; time: number }[] = []
  #key: VerifierKey
  #witnesses: readonly VerifierKey[]
  #report: (problem: Problem) => void

  constructor(key: VerifierKey, witnesses: readonly VerifierKey[], report: (problem: Problem) => void) {
    this.#key = key
    this.#witnesses = witnesses
    this.#report = report
  }

  /** The content of a note, valid or not; undefined if it cannot be parsed. */
  read(source: string, data: Buffer | string | undefined, file?: string): Checkpoint | undefined {
    const add = (kind: Problem['kind'], message: string): void =>
      this.#report({ kind, message, ...(file === undefined ? {} : { file }) })
    if (data === undefined) {
      add('checkpoint', `${source} is missing`)
      return undefined
    }
    try {
      const note = parseNote(data, source)
      const checkpoint = parseCheckpoint(note.text, source)
      this.#checkSignatures(note, checkpoint, source, add)
      return checkpoint
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_NOTE')) throw e
      add('checkpoint', e.what)
      return undefined
    }
  }

  #checkSignatures(
    note: Note,
    { origin, size }: Checkpoint,
    source: string,
    add: (kind: Problem['kind'], message: string) => void
  ): void {
    const key = this.#key
    try {
      const signatures = verifyNote(note, [key, ...this.#witnesses], source)
      if (!signatures.some(s => s.key === key)) add('wrong-key', `${source} is not signed by ${key.name}+${key.id}`)
      for (const s of signatures) if (s.time !== undefined) this.cosigned.push({ name: s.key.name, size, time: s.time })
    } catch (e) {
      if (!VeritError.is(e, 'VERIT_NOTE_SIGNATURE')) throw e
      add('signature', e.what)
    }
    if (origin !== key.name) add('wrong-key', `${source} is of the log ${origin}, not ${key.name}`)
  }

  checkWitnesses(): void {
    for (const { name, id } of this.#witnesses) {
      if (!this.cosigned.some(c => c.name === name))
        this.#report({ kind: 'witness', message: `there is no cosignature of ${name}+${id}` })
    }
  }
}

/** The key in the log's own folder. */
function keyIn(folder: string): VerifierKey {
  const path = join(folder, 'verifier-key')
  const data = readNoteFile(path)
  if (data === undefined)
    throw new VeritError('VERIT_USAGE', {
      problem: `${folder} holds no key to verify with`,
      hint: 'Give the key of the log with --key; `verit audit key` shows it on the server'
    })
  return parseVerifierKey(data.toString('utf8').trim(), path)
}

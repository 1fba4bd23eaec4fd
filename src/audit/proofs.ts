/** Makes proofs that can be checked without the log, from its folder, and checks them with its public key alone. */
import { VeritError } from '../lib/errors.ts'
import { openCheckpoint, parseCheckpoint } from '../trust/checkpoint.ts'
import type { Checkpoint } from '../trust/checkpoint.ts'
import { consistencyProof, inclusionProof, leafHash, rootOf } from '../trust/merkle.ts'
import { verifyConsistency, verifyInclusion } from '../trust/merkle-verify.ts'
import type { VerifierKey } from '../trust/note-key.ts'
import { parseNote } from '../trust/signed-note.ts'
import type { VerifiedSignature } from '../trust/signed-note.ts'
import { formatProof, parseProof } from '../trust/tlog-proof.ts'
import type { AuditEntry } from './entry.ts'
import { parseEntry } from './entry-schema.ts'
import { NodeReader, readCheckpoint, readEntries } from './reader.ts'

/** The checkpoint of a note. The receiver checks its signatures. */
function checkpointOf(note: string | undefined, folder: string): { checkpoint: Checkpoint; note: string } {
  return note === undefined
    ? readCheckpoint(folder)
    : { checkpoint: parseCheckpoint(parseNote(note, 'The checkpoint').text, 'The checkpoint'), note }
}

const damaged = (folder: string, size: number): VeritError =>
  new VeritError('VERIT_AUDIT_DAMAGED', {
    file: folder,
    problem: `its entries and tiles do not give the root of the checkpoint of ${size} entries`
  })

/**
 * Proof that entry `index` is in the log (C2SP tlog-proof, the entry as extra data).
 * @param note checkpoint to prove it under; default the newest
 * @throws VeritError VERIT_USAGE when the checkpoint does not cover it, VERIT_AUDIT_DAMAGED when the proof would not
 *   hold
 */
export function proveEntry(folder: string, index: number, note?: string): string {
  const { checkpoint, note: signed } = checkpointOf(note, folder)
  if (index >= checkpoint.size) {
    throw new VeritError('VERIT_USAGE', {
      problem: `The checkpoint covers ${checkpoint.size} entries, and there is no entry ${index} among them`,
      hint: 'Entries are counted from 0; `verit audit tail` shows the newest'
    })
  }
  const [found] = [...readEntries(folder, { from: index, to: index + 1 })]
  if (found === undefined) throw damaged(folder, checkpoint.size)
  const proof = inclusionProof(index, checkpoint.size, new NodeReader(folder, checkpoint.size).node)
  if (!verifyInclusion(index, checkpoint.size, leafHash(found.bytes), proof, checkpoint.root))
    throw damaged(folder, checkpoint.size)
  return formatProof({ kind: 'inclusion', index, extra: found.bytes, proof, checkpoint: signed })
}

/** Proof that the log of a checkpoint (default the newest) begins with its first `older` entries. */
export function proveConsistency(folder: string, older: number, note?: string): string {
  const { checkpoint, note: signed } = checkpointOf(note, folder)
  if (older > checkpoint.size) {
    throw new VeritError('VERIT_USAGE', {
      problem: `The newer checkpoint covers ${checkpoint.size} entries, fewer than ${older}`,
      hint: 'Give the older size first; if an older checkpoint is larger than the log, the log was set back'
    })
  }
  const nodes = new NodeReader(folder, checkpoint.size).node
  const oldRoot = Buffer.from(rootOf(older, nodes))
  const proof = consistencyProof(older, checkpoint.size, nodes)
  if (!verifyConsistency(older, checkpoint.size, oldRoot, checkpoint.root, proof))
    throw damaged(folder, checkpoint.size)
  return formatProof({ kind: 'consistency', oldSize: older, oldRoot, proof, checkpoint: signed })
}

export interface CheckedProof {
  readonly kind: 'inclusion' | 'consistency'
  readonly checkpoint: Checkpoint
  readonly cosigned: readonly VerifiedSignature[]
  /** Index of the entry of an inclusion proof. */
  readonly index?: number
  readonly entry?: AuditEntry
  /** Size of the older tree of a consistency proof. */
  readonly oldSize?: number
  readonly oldRoot?: Buffer
}

/**
 * Checks a proof file with nothing but keys.
 * @throws VeritError VERIT_NOTE, VERIT_NOTE_UNSIGNED, VERIT_NOTE_SIGNATURE, VERIT_PROOF (it proves nothing)
 */
export function checkProof(
  text: string,
  key: VerifierKey,
  witnesses: readonly VerifierKey[],
  source: string
): CheckedProof {
  const file = parseProof(text, source)
  const { checkpoint, signatures: cosigned } = openCheckpoint(
    file.checkpoint,
    key,
    `The checkpoint in ${source}`,
    witnesses
  )
  const missing = witnesses.find(w => !cosigned.some(s => s.key === w))
  if (missing !== undefined)
    throw new VeritError('VERIT_NOTE_UNSIGNED', { source: `The checkpoint in ${source}`, key: missing.text })
  if (file.kind === 'consistency') {
    const { oldSize, oldRoot, proof } = file
    if (!verifyConsistency(oldSize, checkpoint.size, oldRoot, checkpoint.root, proof)) {
      throw new VeritError('VERIT_PROOF', {
        source,
        problem: `its hashes do not lead from the root of ${oldSize} entries to that of ${checkpoint.size}`
      })
    }
    return { kind: 'consistency', checkpoint, cosigned, oldSize, oldRoot }
  }
  const { extra, index, proof } = file
  if (extra === undefined)
    throw new VeritError('VERIT_PROOF', { source, problem: 'it does not contain the entry (extra data)' })
  if (!verifyInclusion(index, checkpoint.size, leafHash(extra), proof, checkpoint.root)) {
    throw new VeritError('VERIT_PROOF', {
      source,
      problem: `its hashes do not lead from the entry, as number ${index}, to the signed root`
    })
  }
  try {
    return { kind: 'inclusion', checkpoint, cosigned, index, entry: parseEntry(extra) }
  } catch (e) {
    throw new VeritError(
      'VERIT_PROOF',
      { source, problem: `the entry was logged, but ${e instanceof Error ? e.message : String(e)}` },
      e
    )
  }
}

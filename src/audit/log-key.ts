/**
 * The key of a log, and its creation. A crash during creation leaves nothing that looks like a log without a past: the
 * signed checkpoint of the empty tree comes first, the key last.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { checkPrivate } from '../lib/private-path.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { checkpointText, parseCheckpoint } from '../trust/checkpoint.ts'
import { ed25519ToSpki } from '../trust/ed25519.ts'
import { emptyRoot } from '../trust/merkle.ts'
import { isKeyName, verifierKey } from '../trust/note-key.ts'
import type { SignerKey } from '../trust/note-key.ts'
import { formatNote, parseNote, signNote } from '../trust/signed-note.ts'
import { checkpointPath, newestNotePath, readNoteFile } from './log-files.ts'

const damaged = (file: string, problem: string, cause?: unknown): VeritError =>
  new VeritError('VERIT_AUDIT_DAMAGED', { file, problem }, cause)

/** Creates the folder if needed, and refuses one that others can use. */
export function openLogFolder(folder: string): void {
  makeFolder(folder, { ownerOnly: true })
  checkPrivate(folder, 'folder')
}

/** `verit/` and the first digits of the SHA-256 of the public key: a name that no other log has. */
function ownOrigin(key: KeyObject): string {
  return `verit/${hash('sha256', ed25519ToSpki(key).subarray(-32)).slice(0, 16)}`
}

/**
 * Opens the key of the log in `folder`, or creates a log there.
 * @param wanted name of the log; '': the existing name, or one made from the key
 * @throws VeritError VERIT_AUDIT_ORIGIN if it has another name, VERIT_AUDIT_DAMAGED if key or checkpoint are missing or
 *   damaged, VERIT_STATE if others can read the key
 */
export function openLogKey(folder: string, wanted: string): SignerKey {
  if (wanted !== '' && !isKeyName(wanted)) {
    throw new VeritError('VERIT_USAGE', {
      problem: 'The origin of the audit log must be 1 to 200 characters without spaces and plus',
      hint: 'Choose another, for example verit.example/gpu1'
    })
  }
  const [keyPath, notePath] = [join(folder, 'key'), newestNotePath(folder)]
  if (!existsSync(keyPath)) return beginLog(folder, wanted)
  const pem = readTrusted(keyPath, { kind: 'state', purpose: 'the key of the audit log', limit: 10_000 })
  const note = readNoteFile(notePath)
  if (note === undefined) throw damaged(notePath, 'it is missing or too long, though the log has begun')
  const key = parseKey(pem, keyPath)
  const { origin } = parseOr(notePath, note)
  if (wanted !== '' && wanted !== origin) throw new VeritError('VERIT_AUDIT_ORIGIN', { folder, origin, wanted })
  return { verifier: verifierKey(origin, key), key }
}

function parseOr(path: string, note: Buffer): { origin: string } {
  try {
    return parseCheckpoint(parseNote(note, path).text, path)
  } catch (e) {
    throw damaged(path, VeritError.is(e, 'VERIT_NOTE') ? e.fields.problem : 'it is not a checkpoint', e)
  }
}

function parseKey(pem: Buffer, path: string): KeyObject {
  try {
    const key = createPrivateKey(pem)
    ed25519ToSpki(key)
    return key
  } catch (e) {
    throw damaged(path, 'it is not an Ed25519 private key in PEM', e)
  }
}

function beginLog(folder: string, wanted: string): SignerKey {
  // Without its key nothing can be added, so a folder with entries is not treated as a new one.
  if (existsSync(join(folder, 'tile'))) throw damaged(join(folder, 'key'), 'it is missing, though the log has entries')
  const { privateKey: key } = generateKeyPairSync('ed25519')
  const origin = wanted === '' ? ownOrigin(createPublicKey(key)) : wanted
  const signer: SignerKey = { verifier: verifierKey(origin, key), key }
  const text = checkpointText(origin, 0, emptyRoot)
  writeFileAtomic(checkpointPath(folder), formatNote({ text, signatures: [signNote(text, signer)] }), { mode: 0o600 })
  writeFileAtomic(join(folder, 'verifier-key'), `${signer.verifier.text}\n`, { mode: 0o600 })
  writeFileAtomic(join(folder, 'key'), key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600, overwrite: false })
  return signer
}

/**
 * Signs a model: hashes every file and puts the signed statement in a bundle (OpenSSF Model Signing 1.0, section 6).
 */
import type { KeyObject } from 'node:crypto'
import { VeritError } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import { preAuthEncoding } from './dsse.ts'
import { signWith } from './model-key.ts'
import type { ModelKey } from './model-key.ts'
import { PAYLOAD_TYPE, formatBundle } from './oms-bundle.ts'
import { findModelFiles, hashModelFile } from './oms-files.ts'
import { encodeStatement, pathProblem } from './oms-statement.ts'

export interface SignOptions {
  /** Paths in the model to leave out, each with all below it. */
  ignore?: readonly string[]
  /** Files to leave out wherever they are: where the bundle will lie. */
  except?: readonly string[]
  /** Bytes hashed so far, and in all. */
  onProgress?: (done: number, total: number) => void
}

/**
 * Gives the text of the bundle. A folder may not be empty.
 * @throws VeritError VERIT_MODEL_FILES, VERIT_OTHERS_WRITE and those of reading files
 */
export async function signModel(
  model: string,
  key: ModelKey & { readonly privateKey: KeyObject },
  options: SignOptions = {}
): Promise<string> {
  const { ignore = [], except = [], onProgress } = options
  for (const path of ignore) {
    if (/[*?[]/.test(path) || pathProblem(path) !== undefined) {
      throw new VeritError('VERIT_USAGE', {
        problem: `"${printable(path, 200)}" is not the path of something in the model`,
        hint: 'Give it relative to the model, with /, and without wildcards'
      })
    }
  }
  const { name, single, files } = findModelFiles(model, ignore, except)
  if (files.length === 0)
    throw new VeritError('VERIT_MODEL_FILES', {
      path: model,
      problem: 'it holds no files',
      fix: 'Name the folder or the file of a model'
    })
  const total = files.reduce((sum, f) => sum + f.bytes, 0)
  let before = 0
  const signed: { path: string; digest: string }[] = []
  for (const file of files) {
    const [digest] = await hashModelFile(file, undefined, single, done => onProgress?.(before + done, total))
    signed.push({ path: file.path, digest: digest! })
    before += file.bytes
  }
  const payload = encodeStatement(name, signed, ignore)
  return formatBundle(key.hint, payload, signWith(key.privateKey, key.kind, preAuthEncoding(PAYLOAD_TYPE, payload)))
}

/** Shared by the subcommands of `verit model`: hashing progress, small files. */
import { existsSync, realpathSync } from 'node:fs'
import { VeritError } from '../lib/errors.ts'
import { Progress, formatBytes } from '../lib/progress.ts'
import { readTrusted } from '../lib/trusted-file.ts'
import { publicKeyFromPem } from '../trust/model-key.ts'
import type { ModelKey } from '../trust/model-key.ts'
import { MAX_BUNDLE_BYTES } from '../trust/oms-bundle.ts'

/** A bar of bytes once it takes long; `total` comes with the first update. */
export function byteProgress(label = 'hash'): { update: (done: number, total: number) => void; clear: () => void } {
  let progress: Progress | undefined
  const update = (done: number, total: number): void => {
    progress ??= new Progress({ label, total, format: formatBytes })
    progress.update(done)
  }
  return { update, clear: () => progress?.clear() }
}

/** Runs `work` with such a bar, which is gone when that ends or fails. */
export async function withByteProgress<T>(
  label: string,
  work: (onProgress: (done: number, total: number) => void) => Promise<T>
): Promise<T> {
  const { update, clear } = byteProgress(label)
  try {
    return await work(update)
  } finally {
    clear()
  }
}

/**
 * A file that decides which signers are trusted.
 * @throws VeritError VERIT_FILE_IO if it has more than `limit` bytes, and those of trusted-file.ts
 */
const readSmall = (path: string, purpose: string, limit: number): Buffer =>
  readTrusted(path, { kind: 'decides', purpose, limit })

export const readBundle = (path: string): Buffer => readSmall(path, 'the signature of a model', MAX_BUNDLE_BYTES)
export const readPublicKey = (path: string): ModelKey =>
  publicKeyFromPem(readSmall(path, 'the public key of a signer', 16_384).toString('utf8'), path)

/**
 * Output never replaces the model, and another file only with `force`.
 * @param hint how to name another file
 * @throws VeritError VERIT_USAGE, VERIT_FILE_EXISTS
 */
export function checkOutput(
  output: string,
  model: string,
  force: boolean,
  hint = 'Name another file with --output'
): void {
  if (!existsSync(output)) return
  if (existsSync(model) && realpathSync(output) === realpathSync(model)) {
    throw new VeritError('VERIT_USAGE', { problem: `${output} is the model itself`, hint })
  }
  if (!force) throw new VeritError('VERIT_FILE_EXISTS', { path: output })
}

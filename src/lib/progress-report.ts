/**
 * Progress of an operation of the library, where the caller wants it: nowhere, as lines in a stream, or as numbers in a
 * function.
 */
import { Progress, formatBytes } from './progress.ts'
import type { ProgressOptions } from './progress.ts'

/** Progress of work on a file, for callbacks. */
export interface ByteProgress {
  /** The current work: `hash` (the file is hashed) or `load` (weights are read and packed). */
  readonly stage: 'hash' | 'load'
  /** Bytes done, and bytes in all. */
  readonly done: number
  readonly total: number
}

/**
 * `false`: no progress. A stream gets lines, or a bar on a terminal, after half a second. A function is called with
 * numbers, often.
 */
export type ProgressTarget = false | NonNullable<ProgressOptions['stream']> | ((progress: ByteProgress) => void)

export interface ProgressReport {
  update(done: number): void
  /** Removes the bar of a terminal. */
  clear(): void
}

/** @param target default: standard error */
export function byteProgress(
  stage: ByteProgress['stage'],
  total: number,
  target: ProgressTarget = process.stderr
): ProgressReport {
  if (target === false) return { update: () => undefined, clear: () => undefined }
  if (typeof target === 'function') return { update: done => target({ stage, done, total }), clear: () => undefined }
  return new Progress({ label: stage, total, format: formatBytes, stream: target })
}

/** The engines, one row each: a name and a loader. */
import type { RegularFile } from '../lib/regular-file.ts'
import type { Digest } from '../trust/digest.ts'
import type { Engine } from './engine.ts'
import type { LoadOptions } from './load-options.ts'
import { loadVerit } from './load-verit.ts'

/**
 * Loads a model from an open file, which stays the caller's to close.
 * @param options checked by `checkLoadOptions`
 * @param digest takes the file's digest, or compares a known one. A loader awaits it before it uses a weight. It can
 * take long, so a loader checks header and machine first
 */
export type EngineLoader = (file: RegularFile, options: LoadOptions, digest: () => Promise<Digest>) => Promise<Engine>

export const engines = {
  verit: loadVerit
} as const satisfies Readonly<Record<string, EngineLoader>>

export type EngineName = keyof typeof engines

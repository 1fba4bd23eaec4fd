/** Shared by `pull`, `models` and commands that take a model name: folder of the store, sizes, digests. */
import { InvalidArgumentError, Option } from 'commander'
import { defaultModelsFolder } from '../hub/models-folder.ts'
import { parseDuration } from '../lib/duration.ts'
import { isDigest } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'

export function modelsOption(): Option {
  return new Option('--models <folder>', 'folder of pulled models; VERIT_MODELS sets it for all commands').default(
    defaultModelsFolder()
  )
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40
}

/** 500MB, 1.5GiB, 1000 -> bytes. */
export function sizeOption(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6}(?:\.\d{1,3})?|\d{1,15}) ?([kMGTKiB]*)$/.exec(text) ?? []
  if (number === undefined || !Object.hasOwn(UNITS, unit))
    throw new InvalidArgumentError('It must be a size such as 500MB, 1.5GiB or a number of bytes.')
  return Math.floor(Number(number) * UNITS[unit]!)
}

/** 30m, 24h, at most 14d -> seconds. */
export function durationOption(text: string): number {
  const value = parseDuration(text)
  if (value === undefined || value === 0 || value > 14 * 86_400)
    throw new InvalidArgumentError('It must be a duration such as 30m or 24h, at most 14d.')
  return value
}

/** 64 hexadecimal digits, with or without sha256: before them. */
export function digestOption(text: string): Digest {
  const digest = `sha256:${text.toLowerCase().replace(/^sha256:/, '')}`
  if (!isDigest(digest)) throw new InvalidArgumentError('It must be a SHA-256: 64 hexadecimal digits.')
  return digest
}

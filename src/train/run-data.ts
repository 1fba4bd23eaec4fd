/** Locates the dataset of a run: the path in run.json, or the run's own folder after a move. */
import { existsSync } from 'node:fs'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { hashFile } from '../data/shards.ts'
import { VeritError } from '../lib/errors.ts'
import { DATASET_MANIFEST } from '../lib/run-files.ts'
import { veritCommand } from '../lib/shell-word.ts'

/** Folder of the dataset of a run that began with a text file, in the run's folder. */
export const OWN_DATA = 'data'

/** The place of a run's dataset: a relative path inside the run's folder, both kinds of path elsewhere. */
export interface DataPlace {
  /** Absolute, or relative to the run's folder. */
  readonly data: string
  /** Relative to the run's folder: still right after run and dataset were moved together. */
  readonly nearby?: string
}

/** @param run folder of the run @param data folder of the dataset */
export function dataPlace(run: string, data: string): DataPlace {
  const path = relative(resolve(run), resolve(data))
  const inside = path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path)
  const portable = path.split(sep).join('/')
  return inside ? { data: portable } : { data: resolve(data), nearby: portable }
}

/**
 * The folder of a run's dataset. Of several candidates, the one with the right digest counts.
 * @param digest `sha256:...` of its manifest
 * @throws VeritError VERIT_RESUME if there is none
 */
export function findData(run: string, { data, nearby }: DataPlace, digest: string): string {
  const places = [resolve(run, data), ...(nearby === undefined ? [] : [resolve(run, nearby)]), join(run, OWN_DATA)]
  const there = places.filter(place => existsSync(join(place, DATASET_MANIFEST)))
  const right = there.find(place => hashFile(join(place, DATASET_MANIFEST)).sha256 === digest)
  if (right !== undefined) return right
  // An existing folder is opened, so that its own error is reported.
  if (there[0] !== undefined) return there[0]
  const command = veritCommand('train DATASET --resume', run)
  const problem = `its dataset is neither in ${places[0]} nor in ${join(run, OWN_DATA)}`
  throw new VeritError('VERIT_RESUME_DATA', { run, problem, command })
}

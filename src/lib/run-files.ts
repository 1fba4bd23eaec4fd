/** Names of the files in the folder of a training run. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { fileError } from './file-error.ts'
import { openRegular } from './regular-file.ts'

export const RUN_MODEL = 'model.gguf'
export const RUN_SETTINGS = 'run.json'
export const RUN_CHECKPOINTS = 'checkpoints'
export const DATASET_MANIFEST = 'manifest.json'

const CHECKPOINT = /^step-(\d{8,})\.safetensors$/

/** Name of the checkpoint after `step` optimizer steps. */
export const checkpointName = (step: number): string => `step-${String(step).padStart(8, '0')}.safetensors`

/** The step of a checkpoint by its name; undefined for other names. */
export function stepOfCheckpoint(name: string): number | undefined {
  const digits = CHECKPOINT.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/**
 * Steps of the checkpoints in a folder, ascending; none if the folder does not exist. @throws VeritError VERIT_FILE_IO
 */
export function checkpointSteps(folder: string): number[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw fileError(e, folder, 'read')
  }
  return names.flatMap(name => stepOfCheckpoint(name) ?? []).sort((a, b) => a - b)
}

/** Whether a path is a folder. False if that is unknown: the function that opens it reports why. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

/** Whether a folder belongs to a training run. */
export const isRunFolder = (folder: string): boolean =>
  [RUN_SETTINGS, RUN_MODEL, RUN_CHECKPOINTS].some(name => existsSync(join(folder, name)))

/** Whether a folder is a dataset that `prepare` made, by the first words of its manifest. */
export function isDatasetFolder(folder: string): boolean {
  const path = join(folder, DATASET_MANIFEST)
  if (!existsSync(path) || !statSync(path).isFile()) return false
  using file = openRegular(path, 'the manifest of a dataset')
  const head = Buffer.alloc(Math.min(100, file.size))
  file.read(0, head)
  return /^\s*\{\s*"format":\s*"verit-dataset"/.test(head.toString('utf8'))
}

/** A run's name: that of its folder, in characters that a client may ask for. */
export function runName(folder: string): string {
  const name = basename(resolve(folder))
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  return name.slice(0, 100) || 'model'
}

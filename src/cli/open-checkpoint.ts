/** Opens the checkpoint of a run as a model file, for commands that run or measure a model. */
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openExecutor } from '../exec/index.ts'
import { fileError } from '../lib/file-error.ts'
import { printable } from '../lib/printable.ts'
import { RegularFile } from '../lib/regular-file.ts'
import { exportCheckpoint } from '../train/checkpoint-model.ts'
import { Checkpoint } from '../train/checkpoint.ts'

/**
 * The model of a checkpoint, written to an unlinked temporary file. Prints its step to standard error. Undefined for
 * files that are not checkpoints.
 * @throws VeritError VERIT_CHECKPOINT, VERIT_RESUME, VERIT_RESUME_DATA and those of files
 */
export async function openCheckpoint(path: string): Promise<RegularFile | undefined> {
  using checkpoint = Checkpoint.at(path)
  if (checkpoint === undefined) return undefined
  const { step, options } = checkpoint.state
  const count = (n: number): string => n.toLocaleString('en-US')
  const run = printable(dirname(dirname(path)))
  process.stderr.write(`Checkpoint of step ${count(step)} of ${count(options.steps)} of the run ${run}.\n`)
  const folder = temporaryFolder()
  try {
    const out = join(folder, 'model.gguf')
    await exportCheckpoint(checkpoint, out, openExecutor())
    return openUnnamed(out, path)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function temporaryFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'verit-checkpoint-'))
  } catch (e) {
    throw fileError(e, tmpdir(), 'write')
  }
}

/** @param name of the file in errors */
function openUnnamed(path: string, name: string): RegularFile {
  const fd = openSync(path, constants.O_RDONLY)
  try {
    return new RegularFile(fd, name, true)
  } catch (e) {
    closeSync(fd)
    throw e
  }
}

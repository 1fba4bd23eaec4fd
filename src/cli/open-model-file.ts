/** Opens a model file for the commands that read it themselves: by its path, its run, or the name it was pulled by. */
import { resolveModel } from '../hub/resolve-model.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { checkPulled, digestDescriptor } from '../trust/digest.ts'
import { byteProgress } from './model-shared.ts'
import { openCheckpoint } from './open-checkpoint.ts'

/**
 * A pulled model is hashed first, on the descriptor that is then read, and must match its digest.
 * @param purpose of the file, for errors
 * @param checkpoints whether a checkpoint opens as the model in it, or as a plain file
 * @throws VeritError VERIT_MODEL_STORE, VERIT_STATE and those of opening
 */
export async function openModelFile(
  nameOrPath: string,
  purpose: string,
  checkpoints: 'model' | 'file' = 'model'
): Promise<RegularFile> {
  const { path, pulled } = resolveModel(nameOrPath, undefined, 'checkpoint')
  const ofRun = checkpoints === 'model' && path.endsWith('.safetensors') ? await openCheckpoint(path) : undefined
  if (ofRun !== undefined) return ofRun
  const file = openRegular(path, purpose)
  if (pulled === undefined) return file
  const { update, clear } = byteProgress()
  try {
    checkPulled(path, await digestDescriptor(file.fd, path, { onProgress: update }), pulled.digest)
    return file
  } catch (e) {
    file.close()
    throw e
  } finally {
    clear()
  }
}

/** Opens a model file for the commands that read it themselves: by its path, or by the name it was pulled by. */
import { resolveModel } from '../hub/resolve-model.ts'
import { byteProgress } from './model-shared.ts'
import { openRegular } from '../lib/regular-file.ts'
import type { RegularFile } from '../lib/regular-file.ts'
import { checkPulled, digestDescriptor } from '../trust/digest.ts'

/**
 * A pulled model is hashed first, on the descriptor that is then read, and must be what was pulled.
 * @param purpose what the file is for, in errors @throws VeritError VERIT_MODEL_STORE, VERIT_STATE and those of opening
 */
export async function openModelFile(nameOrPath: string, purpose: string): Promise<RegularFile> {
  const { path, pulled } = resolveModel(nameOrPath)
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

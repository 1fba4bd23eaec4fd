/** What a user means by a model: a path, or the name of a pulled one. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import type { Digest } from '../trust/digest.ts'
import type { TrustedAs } from '../trust/model-trust.ts'
import { ModelStore, isModelName } from './model-store.ts'
import { defaultModelsFolder } from './models-folder.ts'

export interface ResolvedModel {
  readonly path: string
  /** For a pulled model: its name, the digest that its file must have when it is loaded, and the signature that was fetched with it. */
  readonly pulled: (TrustedAs & { readonly digest: Digest }) | undefined
}

/**
 * Text with a separator or an ending of model files is a path; other text is a pulled model's name if there is one, and else a path.
 * @param folder of the store @throws VeritError VERIT_STATE, VERIT_MODEL_STORE
 */
export function resolveModel(nameOrPath: string, folder: string = defaultModelsFolder()): ResolvedModel {
  if (!isModelName(nameOrPath) || !existsSync(join(folder, 'index.db'))) return { path: nameOrPath, pulled: undefined }
  using store = new ModelStore(folder)
  const model = store.find(nameOrPath)
  if (model === undefined) return { path: nameOrPath, pulled: undefined }
  if (!store.has(model.digest)) throw new VeritError('VERIT_MODEL_STORE', { path: store.path(model.digest), problem: `is not there, though the model ${model.name} needs it` })
  const { name, digest, signature } = model
  return { path: store.path(digest), pulled: { name, digest, signature: signature && { path: store.path(signature.digest), signedAs: signature.signedAs } } }
}

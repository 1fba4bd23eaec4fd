/** Paths of the model that ships with the package, and of its signer's public key. The files may be missing. */
import { join } from 'node:path'
import { VeritError } from './errors.ts'
import { packageRoot } from './package-root.ts'

/** The file's name without its ending. */
export const DEFAULT_MODEL = 'verit-sotu'

/** @throws VeritError VERIT_PACKAGE_FILES in a bundle without an installed package above it */
export function defaultModelPath(): string {
  return modelsFile(`${DEFAULT_MODEL}.gguf`)
}

/** @throws VeritError VERIT_PACKAGE_FILES in a bundle without an installed package above it */
export function defaultSignerPath(): string {
  return modelsFile('verit.pub')
}

function modelsFile(name: string): string {
  const root = packageRoot()
  if (root === undefined) throw new VeritError('VERIT_PACKAGE_FILES', { file: `models/${name}` })
  return join(root, 'models', name)
}

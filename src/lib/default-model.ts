/** Where the model that ships with the package lies, and the key of its signer. Only the paths: that the files are there is for their readers to find out. */
import { fileURLToPath } from 'node:url'

/** The file's name without its ending. */
export const DEFAULT_MODEL = 'verit-sotu'

export function defaultModelPath(): string {
  return fileURLToPath(new URL(`../../models/${DEFAULT_MODEL}.gguf`, import.meta.url))
}

export function defaultSignerPath(): string {
  return fileURLToPath(new URL('../../models/verit.pub', import.meta.url))
}

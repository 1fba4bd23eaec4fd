/** Where the model that ships with the package lies. Only the path: that the file is there is for its reader to find out. */
import { fileURLToPath } from 'node:url'

export function defaultModelPath(): string {
  return fileURLToPath(new URL('../../models/verit-sotu.gguf', import.meta.url))
}

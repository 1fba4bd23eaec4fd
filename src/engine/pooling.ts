/** Pooling in the metadata of a file: `ARCHITECTURE.pooling_type`, numbered as in llama.cpp. */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import type { Pooling } from './embedder.ts'

const TYPES: readonly (Pooling | undefined)[] = [undefined, 'mean', 'cls', 'last']

/**
 * Undefined where the file names none.
 * @throws VeritError VERIT_GGUF for another number, such as that of models with a head of classes
 */
export function poolingOf(m: GgufMetadata): Pooling | undefined {
  const key = `${m.string('general.architecture')}.pooling_type`
  const type = m.uint(key, 0)
  if (type >= TYPES.length) m.refuse(key, `is ${type}, where 0 to ${TYPES.length - 1} are supported`)
  return TYPES[type]
}

/** GGUF keys of hyperparameters. Maps errors of fields to errors of the metadata keys. */
import type { GgufMetadata } from '../formats/gguf-metadata.ts'
import { VeritError } from '../lib/errors.ts'
import { fieldRules } from './decoder-config.ts'
import type { Field, FieldRule } from './decoder-config.ts'
import type { Description } from './description.ts'

export const fieldRule = (field: Field): FieldRule => fieldRules[field]

/** The key of a field under the architecture's prefix. */
export function keyOf(field: Field, norm: Description['norm']): string | undefined {
  return field === 'eps' && norm === 'layer' ? 'attention.layer_norm_epsilon' : fieldRule(field).key
}

/**
 * Runs a reader of a file's fields.
 * @param prefix of the keys, without the final dot
 * @throws VeritError VERIT_GGUF with the key, in place of VERIT_MODEL_CONFIG with the field
 */
export function namingKeys<T>(m: GgufMetadata, prefix: string, norm: Description['norm'], read: () => T): T {
  try {
    return read()
  } catch (e) {
    if (!VeritError.is(e, 'VERIT_MODEL_CONFIG') || !Object.hasOwn(fieldRules, e.fields.field)) throw e
    const key = keyOf(e.fields.field as Field, norm)
    if (key === undefined) throw e
    // A factor without its own key comes from the older key.
    const older = key === fieldRules.ropeFactor.key && !m.has(`${prefix}.${key}`)
    return m.refuse(`${prefix}.${older ? 'rope.scale_linear' : key}`, e.fields.problem)
  }
}

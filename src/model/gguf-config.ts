/**
 * A model's configuration as GGUF metadata and back. Keys are those that other programs read
 * (docs/internals/training.md has the table); others begin with `verit.`.
 */
import type { ModelConfig } from '../arch/architecture.ts'
import { architecture, architectureOfFile } from '../arch/registry.ts'
import type { GgufFile } from '../formats/gguf-reader.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { VeritError } from '../lib/errors.ts'

/** The `general.architecture` of a configuration. */
export const architectureOf = (config: ModelConfig): string => architecture(config).ggufName(config)

/** The entries under the architecture's prefix, and those that GGUF lacks. */
export const configEntries = (config: ModelConfig): [string, GgufValue][] => architecture(config).ggufEntries(config)

/** The GGUF name of a parameter: 'blocks.3.attn_out.weight' -> 'blk.3.attn_output.weight'. */
export const ggufName = (config: Pick<ModelConfig, 'kind'>, parameter: string): string =>
  architecture(config).tensorName(parameter)

/**
 * The configuration that a file describes.
 * @throws VeritError VERIT_MODEL_FILE for an architecture or option that Verit does not run, VERIT_GGUF for metadata
 *   that is missing or of another type
 */
export function readConfig(file: GgufFile): ModelConfig {
  const refuse = (problem: string, cause?: unknown): never => {
    throw new VeritError('VERIT_MODEL_FILE', { file: file.name, problem }, cause)
  }
  const row = architectureOfFile(file)
  const m = file.metadata
  const vocab = file.tensor('token_embd.weight').shape[0]!
  const key = `${m.string('general.architecture')}.vocab_size`
  const said = m.uint(key, vocab)
  if (said !== vocab) m.refuse(key, `is ${said}, where the embedding has ${vocab} rows`)
  try {
    return row.readGguf(file, vocab)
  } catch (e) {
    if (VeritError.is(e, 'VERIT_MODEL_CONFIG')) return refuse(`${e.fields.field} ${e.fields.problem}`, e)
    throw e
  }
}

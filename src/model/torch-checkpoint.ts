/** A checkpoint of PyTorch with the configuration of a GPT beside the weights: nanoGPT and its kin. */
import { nanoGpt } from '../arch/nano-gpt.ts'
import type { HfFormat } from '../arch/architecture.ts'
import { openTorch } from '../formats/torch-file.ts'
import { VeritError } from '../lib/errors.ts'
import type { ModelWeights } from './hf-source.ts'

/**
 * Opens the weights of a checkpoint.
 * @throws VeritError VERIT_TORCH_FILE, VERIT_MODEL_FILE for a checkpoint without a configuration
 */
export function openCheckpointWeights(path: string): ModelWeights {
  const file = openTorch(path)
  const { configuration } = file
  if (configuration === undefined) {
    file[Symbol.dispose]()
    throw new VeritError('VERIT_MODEL_FILE', {
      file: path,
      problem: 'it has no configuration of a GPT (n_layer, n_head, n_embd, block_size, vocab_size) beside the weights',
      fix: 'Save both, as nanoGPT does: {"model": model.state_dict(), "model_args": {...}}'
    })
  }
  return { name: path, files: [file], configFile: path, json: configuration, format: nanoGpt as unknown as HfFormat }
}

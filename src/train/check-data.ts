/** Whether a run's data suits its model. */
import { VeritError } from '../lib/errors.ts'
import type { PlannedRun } from './setup.ts'

/** @throws VeritError VERIT_MODEL_CONFIG */
export function checkData({ config, data }: Pick<PlannedRun, 'config' | 'data'>): void {
  if (data.tokenizer.vocabSize !== config.vocab) {
    const problem = `is ${config.vocab}, but the data's tokenizer has ${data.tokenizer.vocabSize} tokens`
    throw new VeritError('VERIT_MODEL_CONFIG', { field: 'vocab', problem })
  }
  if (data.train.length <= config.context) {
    const { length } = data.train
    const problem = `is ${config.context} and needs ${config.context + 1} tokens to train on; the data has ${length}`
    throw new VeritError('VERIT_MODEL_CONFIG', { field: 'context', problem })
  }
}

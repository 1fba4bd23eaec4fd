/** A checkpoint as a model file, so that a run can be tried before it ends. */
import { dirname, join } from 'node:path'
import type { Executor } from '../exec/plan.ts'
import { VeritError } from '../lib/errors.ts'
import { exportGguf } from '../model/export-gguf.ts'
import { elementsOf, parametersOf } from '../model/parameters.ts'
import type { Parameter } from '../model/parameters.ts'
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { Checkpoint, RunState, Values } from './checkpoint.ts'
import { findData } from './run-data.ts'
import { readSettings } from './run-settings.ts'

/**
 * Writes the weights of a checkpoint as GGUF, as the end of the run does with those of the best step.
 * @param out path of the file @throws VeritError VERIT_CHECKPOINT, VERIT_RESUME, VERIT_RESUME_DATA and those of writing
 */
export async function exportCheckpoint(checkpoint: Checkpoint, out: string, executor: Executor): Promise<void> {
  const { state, path } = checkpoint
  const run = dirname(dirname(path))
  const settings = readSettings(run)
  const tokenizer = tokenizerOf(state, findData(run, settings, state.dataset))
  const parameters = parametersOf(state.config)
  const values = memoryFor(parameters)
  checkpoint.load(parameters, values)
  const name = `${settings.name}-step-${state.step}`
  await exportGguf(out, executor, state.config, tokenizer, p => values('weights', p), { name })
}

function tokenizerOf(state: RunState, data: string): Tokenizer {
  const path = join(data, 'tokenizer.json')
  const tokenizer = loadTokenizer(path)
  if (tokenizer.digest === state.tokenizer) return tokenizer
  throw new VeritError('VERIT_DATASET', { path, problem: 'it is not the tokenizer that the run was started with' })
}

function memoryFor(parameters: readonly Parameter[]): Values {
  const vector = (): Map<string, Float32Array> =>
    new Map(parameters.map(p => [p.name, new Float32Array(elementsOf(p))]))
  const memory = { weights: vector(), adamM: vector(), adamV: vector() }
  return (name, p) => memory[name].get(p.name)!
}

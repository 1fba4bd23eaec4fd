/** Resolves the model argument of a command: a path, the folder of a training run, or the name of a pulled model. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { VeritError } from '../lib/errors.ts'
import { RUN_CHECKPOINTS, RUN_MODEL, RUN_SETTINGS, checkpointName, checkpointSteps } from '../lib/run-files.ts'
import { isDatasetFolder, isFolder, runName } from '../lib/run-files.ts'
import { shellPath, veritCommand } from '../lib/shell-word.ts'
import type { Digest } from '../trust/digest.ts'
import type { TrustedAs } from '../trust/model-trust.ts'
import { ModelStore, isModelName } from './model-store.ts'
import { defaultModelsFolder } from './models-folder.ts'

export interface ResolvedModel {
  /** Path of the model file, or the newest checkpoint of an unfinished run with `unfinished: 'checkpoint'`. */
  readonly path: string
  /** For a pulled model: its name, the digest that its file must have when it is loaded, and its signature. */
  readonly pulled: (TrustedAs & { readonly digest: Digest }) | undefined
  /** For the model of a training run: the run's name. */
  readonly run?: string
}

/** Meaning of a run without model.gguf: its newest checkpoint, or an error. */
export type Unfinished = 'refuse' | 'checkpoint'

/**
 * Text with a separator or an ending of model files is a path; other text is a pulled model's name if there is one, and
 * else a path. The folder of a training run stands for its model.gguf.
 * @param folder of pulled models
 * @throws VeritError VERIT_STATE, VERIT_MODEL_STORE; VERIT_USAGE for a folder without a model
 */
export function resolveModel(
  nameOrPath: string,
  folder: string = defaultModelsFolder(),
  unfinished: Unfinished = 'refuse'
): ResolvedModel {
  return pulledModel(nameOrPath, folder) ?? modelAt(nameOrPath, unfinished)
}

function pulledModel(name: string, folder: string): ResolvedModel | undefined {
  if (folder === '' || !isModelName(name) || !existsSync(join(folder, 'index.db'))) return undefined
  using store = new ModelStore(folder)
  const model = store.find(name)
  if (model === undefined) return undefined
  const path = store.path(model.digest)
  if (!store.has(model.digest)) {
    const problem = `is not there, though the model ${model.name} needs it`
    throw new VeritError('VERIT_MODEL_STORE', { path, problem })
  }
  const { digest, signature } = model
  const signed = signature && { path: store.path(signature.digest), signedAs: signature.signedAs }
  return { path, pulled: { name: model.name, digest, signature: signed } }
}

function modelAt(path: string, unfinished: Unfinished): ResolvedModel {
  if (!isFolder(path)) {
    const ofRun = basename(path) === RUN_MODEL && existsSync(join(dirname(path), RUN_SETTINGS))
    return { path, pulled: undefined, ...(ofRun && { run: runName(dirname(path)) }) }
  }
  const model = join(path, RUN_MODEL)
  if (existsSync(model)) return { path: model, pulled: undefined, run: runName(path) }
  const newest = checkpointSteps(join(path, RUN_CHECKPOINTS)).at(-1)
  if (newest === undefined || unfinished === 'refuse') throw noModelIn(path, newest)
  return { path: join(path, RUN_CHECKPOINTS, checkpointName(newest)), pulled: undefined, run: runName(path) }
}

function noModelIn(folder: string, newest: number | undefined): VeritError {
  const refuse = (problem: string, hint: string): VeritError =>
    new VeritError('VERIT_USAGE', { problem: `${folder} ${problem}`, hint })
  const resume = veritCommand('train --resume', folder)
  if (newest !== undefined) {
    const step = newest.toLocaleString('en-US')
    const hint = `Finish it with ${resume}, or try it with ${veritCommand('generate', folder, 'Once')}`
    return refuse(`is a training run that has not ended: it has a checkpoint of step ${step} and no ${RUN_MODEL}`, hint)
  }
  if (existsSync(join(folder, RUN_SETTINGS))) {
    return refuse('is a training run without a checkpoint so far', `Wait for its first one, or go on with ${resume}`)
  }
  const train = veritCommand('train', folder)
  if (isDatasetFolder(folder)) return refuse('is a dataset, not a model', `Train on it: ${train}`)
  if (existsSync(join(folder, 'config.json'))) {
    const hint = `Convert it first: verit convert ${shellPath(folder)} model.gguf`
    return refuse('is the folder of a Hugging Face model', hint)
  }
  return refuse('is a folder without a model', 'Name a .gguf file, or the folder of a training run')
}

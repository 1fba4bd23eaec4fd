/**
 * Checkpoints: one safetensors file each, `step-00001000.safetensors`, with the weights and both moments of every
 * parameter and, as JSON in the metadata, the state of the run and a SHA-256 over both. A file appears by one rename
 * after fsync, so that a crash at any moment leaves the files that were there before, or those and the whole new one.
 */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SafetensorsFile, openSafetensors, writeSafetensors } from '../formats/safetensors.ts'
import type { SafetensorsInput } from '../formats/safetensors.ts'
import { removeStaleTemporaries } from '../lib/atomic-file.ts'
import { VeritError } from '../lib/errors.ts'
import { kindOfFile } from '../lib/file-kind.ts'
import { makeFolder } from '../lib/make-folder.ts'
import { openRegular } from '../lib/regular-file.ts'
import { checkpointName, checkpointSteps } from '../lib/run-files.ts'
import { parseModelConfig } from '../model/config.ts'
import type { ModelConfig } from '../model/config.ts'
import type { Parameter } from '../model/parameters.ts'
import { parseTrainOptions } from './options.ts'
import type { TrainOptions } from './options.ts'
import { stateNames } from './stepper.ts'
import type { StateName } from './stepper.ts'

/** One evaluation of a run. */
export interface EvaluatedStep {
  /** Optimizer steps done before it. */
  readonly step: number
  /** Mean loss of a held-out token, in nats. */
  readonly loss: number
  readonly bitsPerByte: number
  /** Held-out tokens predicted. */
  readonly tokens: number
}

/** All that fixes the result of a run. */
export interface RunStart {
  readonly config: ModelConfig
  readonly options: TrainOptions
  /** `sha256:...` of the dataset's manifest and of its tokenizer. */
  readonly dataset: string
  readonly tokenizer: string
}

/** The state of a run besides its weights and moments. */
export interface RunState extends RunStart {
  /** Optimizer steps done. With the options it is the sampler's whole position. */
  readonly step: number
  /** The evaluation with the lowest loss so far, whose checkpoint is kept. */
  readonly best: EvaluatedStep | null
  /** Every evaluation so far. */
  readonly evaluations: readonly EvaluatedStep[]
}

const FORMAT = 'verit-checkpoint-1'
const PREFIX: Readonly<Record<StateName, string>> = { weights: 'weight.', adamM: 'adam_m.', adamV: 'adam_v.' }

/** Access to the values of the run's three vectors. */
export type Values = (state: StateName, parameter: Parameter) => Float32Array

const fileOf = (folder: string, step: number): string => join(folder, checkpointName(step))
const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

function digestOf(state: string, parameters: readonly Parameter[], values: Values): string {
  const hash = createHash('sha256').update(`${Buffer.byteLength(state)}\n${state}`)
  for (const name of stateNames) for (const p of parameters) hash.update(bytesOf(values(name, p)))
  return hash.digest('hex')
}

/**
 * SHA-256 of weights: of each parameter in order its name, a zero byte, its shape as "a,b", a zero byte, its values as
 * little-endian f32.
 */
export function weightsDigest(parameters: readonly Parameter[], values: (p: Parameter) => Float32Array): string {
  const hash = createHash('sha256')
  for (const p of parameters) hash.update(`${p.name}\0${p.shape.join(',')}\0`).update(bytesOf(values(p)))
  return `sha256:${hash.digest('hex')}`
}

/**
 * Writes the checkpoint of `state.step`, then removes those that are neither among the newest `keep` (at least 1) nor
 * the best. Returns its path.
 */
export function saveCheckpoint(
  folder: string,
  state: RunState,
  parameters: readonly Parameter[],
  values: Values,
  keep: number
): string {
  makeFolder(folder)
  const json = JSON.stringify(state)
  const tensors = new Map<string, SafetensorsInput>()
  for (const name of stateNames) {
    for (const p of parameters)
      tensors.set(PREFIX[name] + p.name, { dtype: 'F32', shape: p.shape, data: () => values(name, p) })
  }
  const path = fileOf(folder, state.step)
  writeSafetensors(path, tensors, { format: FORMAT, state: json, sha256: digestOf(json, parameters, values) })
  const old = checkpointSteps(folder).slice(0, -keep)
  for (const step of old) if (step !== state.best?.step) rmSync(fileOf(folder, step))
  removeStaleTemporaries(folder)
  return path
}

/** The step of a checkpoint; undefined for other files. */
function stepIn(path: string): number | undefined {
  using source = openRegular(path, 'the checkpoint')
  if (kindOfFile(source).kind !== 'safetensors') return undefined
  try {
    const { format, state = '' } = new SafetensorsFile(source).metadata
    const step = format === FORMAT ? (JSON.parse(state) as { step?: unknown } | null)?.step : undefined
    return typeof step === 'number' ? step : undefined
  } catch (e) {
    if (VeritError.is(e) || e instanceof SyntaxError) return undefined
    throw e
  }
}

/** An open checkpoint with a checked state; the values are checked as they are loaded. */
export class Checkpoint implements Disposable {
  readonly path: string
  readonly state: RunState
  #file: SafetensorsFile
  #json: string

  /** The checkpoint of a step, which must exist. @throws VeritError VERIT_CHECKPOINT, VERIT_SAFETENSORS */
  constructor(folder: string, step: number, path = fileOf(folder, step)) {
    this.path = path
    this.#file = openSafetensors(this.path)
    try {
      const { format, state } = this.#file.metadata
      if (format !== FORMAT || state === undefined) this.#refuse(`it is not of the form ${FORMAT}`)
      this.#json = state!
      this.state = this.#parse(step)
    } catch (e) {
      this.#file.close()
      throw e
    }
  }

  /** The checkpoint in a file of any name; undefined if it is not one. */
  static at(path: string): Checkpoint | undefined {
    const step = stepIn(path)
    return step === undefined ? undefined : new Checkpoint(dirname(path), step, path)
  }

  /** Fills the vectors of a run with the same configuration, and checks the digest over all of them. */
  load(parameters: readonly Parameter[], values: Values): void {
    if (this.#file.tensors.size !== stateNames.length * parameters.length)
      this.#refuse('it does not have the tensors of its configuration')
    for (const name of stateNames) for (const p of parameters) values(name, p).set(this.#read(name, p))
    const digest = digestOf(this.#json, parameters, values)
    if (digest !== this.#file.metadata['sha256'])
      this.#refuse('its content does not have the SHA-256 it was saved with')
  }

  #read(name: StateName, p: Parameter): Float32Array {
    const tensor = PREFIX[name] + p.name
    const entry = this.#file.tensors.get(tensor)
    if (entry?.dtype !== 'F32' || entry.shape.join() !== p.shape.join())
      this.#refuse(`tensor ${tensor} is missing or has another shape`)
    return new Float32Array(this.#file.read(tensor).buffer)
  }

  #parse(step: number): RunState {
    let state: RunState | null
    try {
      state = JSON.parse(this.#json) as RunState | null
    } catch (e) {
      return this.#refuse('its state is not JSON', e)
    }
    if (typeof state !== 'object' || state === null) return this.#refuse('its state is not an object')
    const config = parseModelConfig(state.config)
    const options = parseTrainOptions({ ...state.options })
    const evaluated = (e: Partial<Record<keyof EvaluatedStep, unknown>> | null | undefined): boolean =>
      !!e && (['step', 'loss', 'bitsPerByte', 'tokens'] as const).every(key => typeof e[key] === 'number')
    const well =
      state.step === step &&
      step <= options.steps &&
      typeof state.dataset === 'string' &&
      typeof state.tokenizer === 'string' &&
      Array.isArray(state.evaluations) &&
      state.evaluations.every(evaluated) &&
      (state.best === null || evaluated(state.best))
    return well ? { ...state, config, options } : this.#refuse('its state is incomplete')
  }

  #refuse(problem: string, cause?: unknown): never {
    throw new VeritError('VERIT_CHECKPOINT', { path: this.path, problem }, cause)
  }

  [Symbol.dispose](): void {
    this.#file.close()
  }
}

/**
 * The training record: every input of a run and its results, so that someone else can repeat it and compare. Its digest
 * covers the JSON text of `record`, which does not depend on machine or time. `environment` says where and how fast it
 * ran, and proves nothing.
 */
import { writeFileAtomic } from '../lib/atomic-file.ts'
import { ARITHMETIC_CONTRACT, VERSION } from '../lib/version.ts'
import type { ModelConfig } from '../model/config.ts'
import { parameterCount } from '../model/parameters.ts'
import { digestBytes } from '../trust/digest.ts'
import type { Digest } from '../trust/digest.ts'
import type { EvaluatedStep, RunState } from './checkpoint.ts'
import type { TrainOptions } from './options.ts'

export interface TrainingRecord {
  readonly format: 'verit-training-record'
  readonly version: 1
  readonly verit: string
  readonly arithmetic: number
  readonly name: string
  readonly model: ModelConfig
  readonly parameters: number
  readonly options: TrainOptions
  readonly dataset: {
    readonly manifest: string
    readonly tokenizer: string
    readonly trainTokens: number
    readonly validationTokens: number
  }
  readonly evaluations: readonly EvaluatedStep[]
  /** SHA-256 of the weights after the last step, and of those in the model file with the loss measured on them. */
  readonly final: { readonly step: number; readonly weights: string }
  readonly exported: {
    readonly step: number
    readonly weights: string
    readonly validation: { readonly loss: number; readonly bitsPerByte: number; readonly tokens: number } | null
  }
}

/** A record as in `record.json`. */
export interface RecordFile {
  readonly record: TrainingRecord
  /** Digest of the text `JSON.stringify(record)`, which the model file names as its origin. */
  readonly sha256: Digest
  readonly model: { readonly file: string; readonly bytes: number; readonly sha256: Digest }
  readonly environment: {
    readonly executor: string
    readonly threads: number
    readonly node: string
    readonly platform: string
    /** Duration of the process that finished the run. It resumed at `fromStep`, 0 if the run was never stopped. */
    readonly seconds: number
    readonly fromStep: number
  }
}

type Parts = Pick<TrainingRecord, 'name' | 'final' | 'exported'> & { trainTokens: number; validationTokens: number }

export function makeRecord(state: RunState, parts: Parts): TrainingRecord {
  const { name, final, exported, trainTokens, validationTokens } = parts
  return {
    format: 'verit-training-record',
    version: 1,
    verit: VERSION,
    arithmetic: ARITHMETIC_CONTRACT,
    name,
    model: state.config,
    parameters: parameterCount(state.config),
    options: state.options,
    dataset: { manifest: state.dataset, tokenizer: state.tokenizer, trainTokens, validationTokens },
    evaluations: state.evaluations,
    final,
    exported
  }
}

export const recordDigest = (record: TrainingRecord): Digest => digestBytes(JSON.stringify(record))

export function writeRecord(path: string, file: RecordFile): void {
  writeFileAtomic(path, `${JSON.stringify(file, null, 2)}\n`)
}

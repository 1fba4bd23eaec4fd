/** Input and output of a training run. */
import type { TokenSource } from '../eval/token-source.ts'
import type { Executor } from '../exec/plan.ts'
import type { ProgressOptions } from '../lib/progress.ts'
import type { ModelConfig } from '../model/config.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { RunState } from './checkpoint.ts'
import type { TrainOptions } from './options.ts'
import type { RecordFile } from './record.ts'
import type { RunFolder } from './run-folder.ts'
import type { RunSettings } from './run-settings.ts'

/** Source of the training tokens. */
export interface TrainData {
  readonly train: TokenSource
  readonly validation: TokenSource
  readonly tokenizer: Tokenizer
  /** `sha256:...` of the manifest. */
  readonly digest: string
}

/** Input of `train`: model, options, data and folder. */
export interface TrainSetup {
  readonly executor: Executor
  readonly run: RunFolder
  readonly settings: RunSettings
  readonly config: ModelConfig
  readonly options: TrainOptions
  readonly data: TrainData
  /** Goes on from the newest checkpoint; otherwise the folder must have none. */
  readonly resume: boolean
  /** Ends the run after the current step and saves. */
  readonly signal?: AbortSignal
  /** Stops, as the signal does, once this many steps of the run are done. */
  readonly stopAt?: number
  /** Where progress goes. Default standard error. */
  readonly progress?: ProgressOptions['stream']
}

/** A planned run, with or without a folder created for it. */
export type PlannedRun = Omit<TrainSetup, 'run'> & { readonly run: { readonly path: string } }

/** Result of `train`: the record, and the files that were written. */
export interface TrainResult {
  readonly state: RunState
  /** Absent when the run was stopped before its end. */
  readonly record?: RecordFile
}

/** The end of a run: the best weights, the training record and the model file. */
import { gguf } from '../formats/gguf-value.ts'
import type { GgufValue } from '../formats/gguf-value.ts'
import { exportGguf } from '../model/export-gguf.ts'
import { digestFile } from '../trust/digest.ts'
import { Checkpoint, weightsDigest } from './checkpoint.ts'
import type { RunState } from './checkpoint.ts'
import { makeRecord, recordDigest, writeRecord } from './record.ts'
import type { RecordFile, TrainingRecord } from './record.ts'
import type { Stepper } from './stepper.ts'
import type { TrainSetup } from './setup.ts'

interface Finished extends TrainSetup {
  readonly state: RunState
  /** Holds the final weights; afterwards those of the best evaluation. */
  readonly stepper: Stepper
  /** The step at which this process continued the run, and its elapsed time. */
  readonly from: number
  readonly seconds: number
}

/**
 * Writes `model.gguf` and `record.json` with the weights of the lowest held-out loss (the last ones where nothing is
 * held out).
 */
export async function finishRun({ state, stepper, from, seconds, ...setup }: Finished): Promise<RecordFile> {
  const { run, data, executor, config, settings } = setup
  const digest = (): string => weightsDigest(stepper.parameters, p => stepper.values('weights', p))
  const final = { step: state.step, weights: digest() }
  if (state.best !== null && state.best.step !== state.step) {
    using best = new Checkpoint(run.checkpoints, state.best.step)
    best.load(stepper.parameters, (name, p) => stepper.values(name, p))
  }
  const exported: TrainingRecord['exported'] = {
    step: state.best?.step ?? state.step,
    weights: digest(),
    validation: state.best && { loss: state.best.loss, bitsPerByte: state.best.bitsPerByte, tokens: state.best.tokens }
  }
  const record = makeRecord(state, {
    name: settings.name,
    final,
    exported,
    trainTokens: data.train.length,
    validationTokens: data.validation.length
  })
  const sha256 = recordDigest(record)
  const bytes = await exportGguf(run.model, executor, config, data.tokenizer, p => stepper.values('weights', p), {
    name: settings.name,
    entries: originEntries(record, sha256)
  })
  const file: RecordFile = {
    record,
    sha256,
    model: { file: 'model.gguf', bytes, sha256: await digestFile(run.model) },
    environment: {
      executor: executor.name,
      threads: executor.threads,
      node: process.version,
      platform: `${process.platform}-${process.arch}`,
      seconds: Math.round(seconds),
      fromStep: from
    }
  }
  writeRecord(run.record, file)
  return file
}

/** Origin of the model, for its file. */
function originEntries(record: TrainingRecord, sha256: string): [string, GgufValue][] {
  const f64 = (value: number): GgufValue => ({ type: 'f64', value })
  const { validation } = record.exported
  return [
    ['verit.training_record', gguf.string(sha256)],
    ['verit.arithmetic', gguf.u32(record.arithmetic)],
    ['verit.dataset', gguf.string(record.dataset.manifest)],
    ...(validation === null
      ? []
      : ([
          ['verit.validation_loss', f64(validation.loss)],
          ['verit.bits_per_byte', f64(validation.bitsPerByte)],
          ['verit.validation_tokens', gguf.u64(BigInt(validation.tokens))]
        ] as [string, GgufValue][]))
  ]
}

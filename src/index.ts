/**
 * Verit as a library.
 *
 *     import { loadModel } from 'verit'
 *
 *     await using model = await loadModel('model.gguf')
 *     for await (const event of model.generate({ prompt: 'Once upon a time', seed: 7 })) {
 *       if (event.type === 'token') process.stdout.write(event.text)
 *     }
 *
 * Everything here is checked on entry; what goes wrong is a `VeritError` with a code, what is wrong and what to do
 * next.
 */
import './lib/require-node.ts'

export { VeritError } from './lib/errors.ts'
export type { ErrorCode, ErrorFields } from './lib/errors.ts'
export { VERSION } from './lib/version.ts'

// Running models
export { loadModel } from './engine/load.ts'
export type { LoadOptions } from './engine/load.ts'
export type {
  CacheFigures,
  ChatMessage,
  ConversationInfo,
  EndReason,
  Engine,
  EngineCapabilities,
  GenerateEvent,
  GenerateRequest,
  ModelInfo
} from './engine/engine.ts'
export type { ByteProgress, ProgressTarget } from './lib/progress-report.ts'
export { defaultModelPath } from './lib/default-model.ts'

// Text and tokens
export { Tokenizer } from './tokenizer/tokenizer.ts'
export type { EncodeStream, TextTokenizer } from './tokenizer/text-tokenizer.ts'
export { TokenizerTrainer } from './tokenizer/train-tokenizer.ts'
export type { TrainTokenizerOptions } from './tokenizer/train-tokenizer.ts'

// Model files
export { openGguf, parseGguf } from './formats/gguf-reader.ts'
export type { GgufFile } from './formats/gguf-reader.ts'
export type { GgufTensor } from './formats/gguf-tensor-list.ts'
export type { GgufValue } from './formats/gguf-value.ts'
export { digestFile } from './trust/digest.ts'
export type { Digest } from './trust/digest.ts'

// Data
export { prepare } from './data/prepare.ts'
export type { PrepareOptions } from './data/prepare.ts'
export { openDataset } from './data/dataset.ts'
export type { Dataset, DatasetSplit } from './data/dataset.ts'

// Training and evaluation: `planRun` gives configuration and options, `train` does the run in a `RunFolder`
export { planRun } from './train/plan-run.ts'
export type { RunWishes } from './train/plan-run.ts'
export { RunFolder } from './train/run-folder.ts'
export { train } from './train/train.ts'
export type { TrainData, TrainResult, TrainSetup } from './train/setup.ts'
export { Evaluator } from './eval/evaluator.ts'
export type { Evaluation } from './eval/evaluator.ts'
export { parseModelConfig } from './model/config.ts'
export type { BitnetConfig, GptConfig, ModelConfig } from './model/config.ts'
export { openExecutor } from './exec/index.ts'
export type { Executor } from './exec/plan.ts'

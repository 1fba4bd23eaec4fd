/**
 * Loss of a model over held-out tokens: the mean negative log-likelihood of each token given the earlier ones in its
 * window. Windows are adjacent from the first token (window i predicts tokens i·context + 1 … (i + 1)·context), the
 * last one may be shorter; the f32 losses are added in order in f64. The result does not depend on the number of
 * concurrent windows, on the machine, or on whether the weights come from training or from a model file.
 */
import { PlanMemory, ownBytes } from '../exec/plan-memory.ts'
import type { Executor, LoadedPlan } from '../exec/plan.ts'
import { VeritError } from '../lib/errors.ts'
import { LN2, expCore } from '../lib/functions.ts'
import type { ModelConfig } from '../model/config.ts'
import { batchInputs, evaluationGraph } from '../model/graphs.ts'
import type { PackedWeights } from '../model/weights.ts'
import type { TokenSource } from './token-source.ts'

export interface EvaluateOptions {
  /** Tokens to predict, rounded up to whole windows; 0 (default) for all. */
  tokens?: number
  /** Bytes of text that a token stands for; gives bits per byte. */
  bytesOf?: (id: number) => number
  /** Name of the data in errors. */
  name?: string
  /** Called after each run with the tokens predicted so far and in all. */
  onProgress?: (done: number, total: number) => void
  /** Ends the work with the signal's reason. */
  signal?: AbortSignal
}

/** Result of an evaluation: mean loss in nats, perplexity, bits per byte, number of tokens. */
export interface Evaluation {
  /** Mean loss of a token, in nats. */
  readonly loss: number
  /** e to the loss. */
  readonly perplexity: number
  /** Loss in bits over the bytes of the predicted text; absent without `bytesOf`. */
  readonly bitsPerByte?: number
  /** Tokens predicted. */
  readonly tokens: number
}

/** Rows of one run at most, unless one window alone has more; and elements of its logits. */
const MAX_ROWS = 2048
const MAX_LOGITS = 1 << 24

/** Evaluates one set of weights, again and again. */
export class Evaluator implements Disposable {
  #config: ModelConfig
  #batch: number
  #plan: LoadedPlan
  #memory: PlanMemory
  #window: Int32Array
  /** Memory of an evaluation besides the weights, in bytes. */
  readonly bytes: number

  /**
   * @param weights read at each evaluation: the bytes of the weights of training, or the result of `loadModel`
   * @param windows maximum number of concurrent windows. Default: as many as are useful
   */
  constructor(executor: Executor, config: ModelConfig, weights: Uint8Array | PackedWeights, windows = 64) {
    const { context, vocab } = config
    this.#config = config
    this.#batch = Math.max(
      1,
      Math.min(windows, Math.floor(MAX_ROWS / context), Math.floor(MAX_LOGITS / (context * vocab)))
    )
    const shape = { batch: this.#batch, context }
    const { plan, constants } = evaluationGraph(config, shape, weights instanceof Uint8Array ? 'latent' : weights.form)
    this.#plan = executor.load(plan)
    this.#window = new Int32Array(context + 1)
    this.bytes = ownBytes(plan, ['weights'])
    this.#memory = new PlanMemory(
      executor,
      plan,
      { weights: weights instanceof Uint8Array ? weights : weights.bytes },
      { ...constants, ...batchInputs(shape) }
    )
  }

  /** @throws VeritError VERIT_EVAL_DATA when there are not two tokens */
  async evaluate(source: TokenSource, options: EvaluateOptions = {}): Promise<Evaluation> {
    const { context } = this.#config
    const available = source.length - 1
    if (available < 1) {
      const problem = `it has ${source.length} tokens, and a loss needs at least 2`
      const fix = 'Give a longer text'
      throw new VeritError('VERIT_EVAL_DATA', { source: options.name ?? 'the text', problem, fix })
    }
    const wanted = options.tokens ? Math.min(available, Math.ceil(options.tokens / context) * context) : available
    const targets = this.#memory.i32('targets')
    const losses = this.#memory.f32('losses')
    let sum = 0
    let bytes = 0
    for (let done = 0; done < wanted;) {
      options.signal?.throwIfAborted()
      const rows = this.#fill(source, done, wanted)
      await this.#plan.run(this.#memory.buffers)
      for (let r = 0; r < rows; r++) {
        sum += losses[r]!
        if (options.bytesOf) bytes += options.bytesOf(targets[r]!)
      }
      done += rows
      options.onProgress?.(done, wanted)
    }
    const loss = sum / wanted
    const result = { loss, perplexity: loss <= 700 ? expCore(loss) : Infinity, tokens: wanted }
    return options.bytesOf ? { ...result, bitsPerByte: sum / LN2 / bytes } : result
  }

  /** Fills the next windows from token `done` and returns how many targets they hold; rows beyond are padded. */
  #fill(source: TokenSource, done: number, wanted: number): number {
    const { context } = this.#config
    const ids = this.#memory.i32('ids')
    const targets = this.#memory.i32('targets')
    ids.fill(0)
    targets.fill(-1)
    let rows = 0
    for (let b = 0; b < this.#batch && done + rows < wanted; b++) {
      const n = Math.min(context, wanted - done - rows)
      source.read(done + rows, n + 1, this.#window)
      ids.set(this.#window.subarray(0, n), b * context)
      targets.set(this.#window.subarray(1, n + 1), b * context)
      rows += n
    }
    return rows
  }

  /** Frees the memory. */
  [Symbol.dispose](): void {
    this.#plan.dispose()
  }
}

/**
 * A training run from its start or its newest checkpoint to a model file: steps, evaluations, checkpoints, log and progress. Whatever stops it
 * and however often, the weights and the record are the same bits as those of a run that was never stopped.
 */
import { Evaluator } from '../eval/evaluator.ts'
import type { Evaluation } from '../eval/evaluator.ts'
import { bytesOf } from '../eval/token-source.ts'
import { VeritError } from '../lib/errors.ts'
import { Progress } from '../lib/progress.ts'
import { initialWeights } from '../model/initialise.ts'
import { Checkpoint, saveCheckpoint } from './checkpoint.ts'
import type { RunState } from './checkpoint.ts'
import { finishRun } from './finish.ts'
import type { TrainResult, TrainSetup } from './setup.ts'
import { Stepper } from './stepper.ts'
import type { StepResult } from './stepper.ts'

/** @throws VeritError VERIT_MODEL_CONFIG, VERIT_RUN_EXISTS, VERIT_RESUME, VERIT_CHECKPOINT, VERIT_DIVERGED */
export async function train(setup: TrainSetup): Promise<TrainResult> {
  checkData(setup)
  using loop = new Loop(setup)
  return await loop.run()
}

function checkData({ config, data }: TrainSetup): void {
  if (data.tokenizer.vocabSize !== config.vocab) {
    const problem = `is ${config.vocab}, but the data's tokenizer has ${data.tokenizer.vocabSize} tokens`
    throw new VeritError('VERIT_MODEL_CONFIG', { field: 'vocab', problem })
  }
  if (data.train.length <= config.context) {
    const problem = `is ${config.context}, which needs at least ${config.context + 1} tokens to train on, and the data has ${data.train.length}`
    throw new VeritError('VERIT_MODEL_CONFIG', { field: 'context', problem })
  }
}

/** The mutable state of a run. */
class Loop implements Disposable {
  #setup: TrainSetup
  #stepper: Stepper
  #evaluator: Evaluator
  #progress: Progress
  #state: RunState
  /** Whether the state is newer than the newest checkpoint. */
  #dirty = true
  #saved: number | undefined
  #seconds = 0
  #start: number
  #lastLoss: Evaluation | undefined

  constructor(setup: TrainSetup) {
    const { executor, config, options, data, run } = setup
    this.#setup = setup
    this.#stepper = new Stepper(executor, config, options)
    this.#evaluator = new Evaluator(executor, config, this.#stepper.weights)
    this.#state = { step: 0, config, options, dataset: data.digest, tokenizer: data.tokenizer.digest, best: null, evaluations: [] }
    if (setup.resume) this.#restore()
    else this.#begin()
    this.#start = this.#state.step
    run.openLog(this.#start)
    this.#progress = new Progress({
      label: this.#start > 0 ? `train from step ${this.#start.toLocaleString('en-US')}` : 'train',
      total: options.steps - this.#start, ...(setup.progress && { stream: setup.progress }),
    })
  }

  #begin(): void {
    const { run, settings, config, options } = this.#setup
    if (run.steps.length > 0) throw new VeritError('VERIT_RUN_EXISTS', { run: run.path })
    run.saveSettings(settings)
    const initial = initialWeights(config, options.seed)
    for (const p of this.#stepper.parameters) this.#stepper.values('weights', p).set(initial.get(p.name)!)
    this.#save() // so that a run that is killed at any time can be resumed
  }

  #restore(): void {
    const { run, config, options } = this.#setup
    const refuse = (problem: string): never => {
      throw new VeritError('VERIT_RESUME', { run: run.path, problem })
    }
    const newest = run.steps.at(-1) ?? refuse('it has no checkpoint')
    using checkpoint = new Checkpoint(run.checkpoints, newest)
    const { state } = checkpoint
    if (state.dataset !== this.#state.dataset) refuse(`its data was ${state.dataset}, this is ${this.#state.dataset}`)
    if (state.tokenizer !== this.#state.tokenizer) refuse('its data had another tokenizer')
    if (JSON.stringify(state.config) !== JSON.stringify(config)) refuse('its model has another configuration')
    if (JSON.stringify(state.options) !== JSON.stringify(options)) refuse('it was started with other options')
    checkpoint.load(this.#stepper.parameters, (name, p) => this.#stepper.values(name, p))
    this.#state = state
    this.#dirty = false
    this.#saved = newest
  }

  async run(): Promise<TrainResult> {
    const { options, signal, stopAt, settings } = this.#setup
    for (;;) {
      const { step } = this.#state
      const reached = step >= (stopAt ?? Infinity)
      if (this.#evaluationDue() && !signal?.aborted) await this.#evaluate()
      const stop = reached || signal?.aborted === true
      const saveDue = step > 0 && step % settings.saveEvery === 0
      if (stop || saveDue || step === options.steps || this.#state.best?.step === step) this.#save()
      if (step === options.steps && !this.#evaluationDue()) break
      if (stop) {
        this.#progress.clear()
        this.#setup.run.plot(settings.name)
        return { state: this.#state }
      }
      await this.#step()
    }
    const record = await finishRun({ ...this.#setup, state: this.#state, stepper: this.#stepper, from: this.#start, seconds: this.#progress.seconds })
    this.#progress.clear()
    this.#setup.run.plot(settings.name)
    return { state: this.#state, record }
  }

  async #step(): Promise<void> {
    const { step } = this.#state
    const { batch, microBatches } = this.#setup.options
    const tokens = batch * microBatches * this.#setup.config.context
    const before = performance.now()
    const result = await this.#stepper.step(step, this.#setup.data.train)
    const seconds = (performance.now() - before) / 1000
    this.#seconds += seconds
    this.#checkFinite(step + 1, result)
    this.#state = { ...this.#state, step: step + 1 }
    this.#dirty = true
    this.#setup.run.log({ step: step + 1, loss: result.loss, norm: result.norm, lr: result.lr, tokensPerSecond: Math.round(tokens / seconds) })
    const rate = Math.round((tokens * (step + 1 - this.#start)) / this.#seconds).toLocaleString('en-US')
    const held = this.#lastLoss ? `  held-out ${this.#lastLoss.loss.toFixed(4)}` : ''
    this.#progress.update(step + 1 - this.#start, `loss ${result.loss.toFixed(4)}${held}  ${rate} tokens/s`)
  }

  #checkFinite(step: number, { loss, norm }: StepResult): void {
    if (Number.isFinite(loss) && Number.isFinite(norm)) return
    this.#diverged(step, Number.isFinite(loss) ? 'norm of the gradient' : 'training loss')
  }

  #diverged(step: number, what: string): never {
    this.#progress.clear()
    const saved = this.#saved === undefined ? 'no checkpoint had been written' : `the checkpoint of step ${this.#saved} is kept`
    throw new VeritError('VERIT_DIVERGED', { step, what, saved })
  }

  /** Whether this step is to be evaluated and was not: a run that was stopped while it evaluated does so when it goes on. */
  #evaluationDue(): boolean {
    const { step, evaluations } = this.#state
    const { evalEvery, steps } = this.#setup.options
    return this.#setup.data.validation.length > 1 && step > 0 && (step % evalEvery === 0 || step === steps) && evaluations.at(-1)?.step !== step
  }

  async #evaluate(): Promise<void> {
    const { data, options, signal, run } = this.#setup
    const { step, best, evaluations } = this.#state
    const done = step - this.#start
    let result: Evaluation
    try {
      result = await this.#evaluator.evaluate(data.validation, {
        tokens: options.evalTokens, bytesOf: bytesOf(data.tokenizer), name: 'the validation split', ...(signal && { signal }),
        onProgress: (tokens, total) => this.#progress.update(done, `evaluating ${Math.floor((100 * tokens) / total)} %`),
      })
    } catch (e) {
      if (signal?.aborted) return
      throw e
    }
    if (!Number.isFinite(result.loss)) this.#diverged(step, 'held-out loss')
    this.#lastLoss = result
    const { loss, bitsPerByte, tokens } = result
    const evaluated = { step, loss, bitsPerByte: bitsPerByte!, tokens }
    this.#state = { ...this.#state, evaluations: [...evaluations, evaluated], best: best === null || loss < best.loss ? evaluated : best }
    this.#dirty = true
    run.log({ step, heldOutLoss: loss, perplexity: result.perplexity, bitsPerByte: bitsPerByte! })
    this.#progress.line(`step ${step.toLocaleString('en-US')}: held-out loss ${loss.toFixed(4)}, ${bitsPerByte!.toFixed(4)} bits a byte`)
  }

  #save(): void {
    if (!this.#dirty) return
    const { run, settings } = this.#setup
    saveCheckpoint(run.checkpoints, this.#state, this.#stepper.parameters, (name, p) => this.#stepper.values(name, p), settings.keep)
    this.#dirty = false
    this.#saved = this.#state.step
  }

  [Symbol.dispose](): void {
    this.#stepper[Symbol.dispose]()
    this.#evaluator[Symbol.dispose]()
  }
}

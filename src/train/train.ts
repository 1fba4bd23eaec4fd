/**
 * A training run from its start or its newest checkpoint to a model file: steps, evaluations, checkpoints, log and
 * progress. Whatever stops it and however often, the weights and the record are the same bits as those of a run that
 * was never stopped.
 */
import { Evaluator } from '../eval/evaluator.ts'
import type { Evaluation } from '../eval/evaluator.ts'
import { bytesOf } from '../eval/token-source.ts'
import { VeritError } from '../lib/errors.ts'
import { Progress } from '../lib/progress.ts'
import { initialWeights } from '../model/initialise.ts'
import { checkData } from './check-data.ts'
import { Checkpoint, saveCheckpoint } from './checkpoint.ts'
import type { RunStart, RunState } from './checkpoint.ts'
import { finishRun } from './finish.ts'
import { forecastLines, timeLine, tokensPerStep } from './forecast.ts'
import type { Forecast } from './forecast.ts'
import { Pace } from './pace.ts'
import type { TrainResult, TrainSetup } from './setup.ts'
import { Stepper } from './stepper.ts'
import type { StepResult } from './stepper.ts'

/** @throws VeritError VERIT_MODEL_CONFIG, VERIT_RUN_EXISTS, VERIT_RESUME, VERIT_CHECKPOINT, VERIT_DIVERGED */
export async function train(setup: TrainSetup): Promise<TrainResult> {
  checkData(setup)
  using loop = new Loop(setup)
  return await loop.run()
}

const count = (n: number): string => n.toLocaleString('en-US')

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
  #forecast: Forecast
  #pace: Pace
  #lastLoss: Evaluation | undefined

  constructor(setup: TrainSetup) {
    const { executor, config, options, data, run, stopAt = Infinity } = setup
    this.#setup = setup
    this.#stepper = new Stepper(executor, config, options)
    this.#evaluator = new Evaluator(executor, config, this.#stepper.weights)
    this.#state = {
      step: 0,
      config,
      options,
      dataset: data.digest,
      tokenizer: data.tokenizer.digest,
      best: null,
      evaluations: []
    }
    if (setup.resume) this.#restore()
    else this.#begin()
    this.#start = this.#state.step
    run.openLog(this.#start)
    // The bar counts to where this process stops.
    const total = Math.min(options.steps, stopAt)
    this.#progress = new Progress({
      label: total < options.steps ? `train to step ${count(total)}` : 'train',
      total,
      from: this.#start,
      format: n => count(Math.floor(n)),
      ...(setup.progress && { stream: setup.progress })
    })
    this.#forecast = { setup, from: this.#start, bytes: this.#stepper.bytes + this.#evaluator.bytes }
    this.#pace = new Pace(options.microBatches)
    if (this.#start < total) for (const line of forecastLines(this.#forecast)) this.#progress.line(line)
  }

  #begin(): void {
    const { run, settings, config, options } = this.#setup
    if (run.hasBegun) throw new VeritError('VERIT_RUN_EXISTS', { run: run.path })
    const { dataset, tokenizer } = this.#state
    // A run that is killed before its first checkpoint is resumed from this: its weights follow from the seed.
    run.saveSettings({ ...settings, start: { config, options, dataset, tokenizer } })
    this.#initialise()
  }

  #initialise(): void {
    const { config, options } = this.#setup
    const initial = initialWeights(config, options.seed)
    for (const p of this.#stepper.parameters) this.#stepper.values('weights', p).set(initial.get(p.name)!)
  }

  #restore(): void {
    const { run, settings } = this.#setup
    const newest = run.steps.at(-1)
    if (newest === undefined) {
      const problem = 'it has no checkpoint'
      if (settings.start === undefined) throw new VeritError('VERIT_RESUME', { run: run.path, problem })
      this.#checkStart(settings.start)
      this.#initialise()
      return
    }
    using checkpoint = new Checkpoint(run.checkpoints, newest)
    const { state } = checkpoint
    this.#checkStart(state)
    checkpoint.load(this.#stepper.parameters, (name, p) => this.#stepper.values(name, p))
    this.#state = state
    this.#dirty = false
    this.#saved = newest
  }

  /** Refuses to resume with another dataset, model or options. */
  #checkStart(start: RunStart): void {
    const { run, config, options } = this.#setup
    const refuse = (problem: string): never => {
      throw new VeritError('VERIT_RESUME', { run: run.path, problem })
    }
    const { dataset, tokenizer } = this.#state
    if (start.dataset !== dataset) refuse(`its dataset was ${start.dataset}; this one is ${dataset}`)
    if (start.tokenizer !== tokenizer) refuse('its dataset had another tokenizer')
    if (JSON.stringify(start.config) !== JSON.stringify(config)) refuse('its model has another configuration')
    if (JSON.stringify(start.options) !== JSON.stringify(options)) refuse('it was started with other options')
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
    const record = await finishRun({
      ...this.#setup,
      state: this.#state,
      stepper: this.#stepper,
      from: this.#start,
      seconds: this.#progress.seconds
    })
    this.#progress.clear()
    this.#setup.run.plot(settings.name)
    return { state: this.#state, record }
  }

  async #step(): Promise<void> {
    const { step } = this.#state
    const { config, options, data } = this.#setup
    const tokens = tokensPerStep(config, options)
    this.#pace.begin()
    const result = await this.#stepper.step(step, data.train, done => this.#part(step, done))
    const seconds = this.#pace.end()
    this.#seconds += seconds
    this.#checkFinite(step + 1, result)
    this.#state = { ...this.#state, step: step + 1 }
    this.#dirty = true
    this.#setup.run.log({
      step: step + 1,
      loss: result.loss,
      norm: result.norm,
      lr: result.lr,
      tokensPerSecond: Math.round(tokens / seconds)
    })
    this.#tellTime()
    const rate = count(Math.round((tokens * (step + 1 - this.#start)) / this.#seconds))
    const held = this.#lastLoss ? `  held-out ${this.#lastLoss.loss.toFixed(4)}` : ''
    this.#progress.update(step + 1, `loss ${result.loss.toFixed(4)}${held}  ${rate} tokens/s`)
  }

  /** Reports micro-batches, so that a long step is not silent. */
  #part(step: number, done: number): void {
    const { microBatches } = this.#setup.options
    this.#pace.part()
    if (microBatches === 1) return
    this.#tellTime()
    this.#progress.update(step + done / microBatches, `micro-batch ${done} of ${microBatches}`)
  }

  #tellTime(): void {
    const pace = this.#pace.tell()
    if (pace !== undefined) this.#progress.line(timeLine(this.#forecast, pace))
  }

  #checkFinite(step: number, { loss, norm }: StepResult): void {
    if (Number.isFinite(loss) && Number.isFinite(norm)) return
    this.#diverged(step, Number.isFinite(loss) ? 'norm of the gradient' : 'training loss')
  }

  #diverged(step: number, what: string): never {
    this.#progress.clear()
    const kept = this.#saved === undefined ? undefined : `the checkpoint of step ${count(this.#saved)} is kept`
    const saved = kept ?? 'no checkpoint had been written'
    throw new VeritError('VERIT_DIVERGED', { step, what, saved })
  }

  /** Whether this step still needs its evaluation: a run stopped during it repeats it when it continues. */
  #evaluationDue(): boolean {
    const { step, evaluations } = this.#state
    const { evalEvery, steps } = this.#setup.options
    return (
      this.#setup.data.validation.length > 1 &&
      step > 0 &&
      (step % evalEvery === 0 || step === steps) &&
      evaluations.at(-1)?.step !== step
    )
  }

  async #evaluate(): Promise<void> {
    const { data, options, signal, run } = this.#setup
    const { step, best, evaluations } = this.#state
    let result: Evaluation
    try {
      result = await this.#evaluator.evaluate(data.validation, {
        tokens: options.evalTokens,
        bytesOf: bytesOf(data.tokenizer),
        name: 'the validation split',
        ...(signal && { signal }),
        onProgress: (tokens, all) => this.#progress.update(step, `evaluating ${Math.floor((100 * tokens) / all)} %`)
      })
    } catch (e) {
      if (signal?.aborted) return
      throw e
    }
    if (!Number.isFinite(result.loss)) this.#diverged(step, 'held-out loss')
    this.#lastLoss = result
    const { loss, bitsPerByte, tokens } = result
    const evaluated = { step, loss, bitsPerByte: bitsPerByte!, tokens }
    this.#state = {
      ...this.#state,
      evaluations: [...evaluations, evaluated],
      best: best === null || loss < best.loss ? evaluated : best
    }
    this.#dirty = true
    run.log({ step, heldOutLoss: loss, perplexity: result.perplexity, bitsPerByte: bitsPerByte! })
    this.#progress.line(`step ${count(step)}: held-out loss ${loss.toFixed(4)}, ${bitsPerByte!.toFixed(4)} bits a byte`)
    run.plot(this.#setup.settings.name)
  }

  #save(): void {
    if (!this.#dirty) return
    const { run, settings } = this.#setup
    saveCheckpoint(
      run.checkpoints,
      this.#state,
      this.#stepper.parameters,
      (name, p) => this.#stepper.values(name, p),
      settings.keep
    )
    this.#dirty = false
    this.#saved = this.#state.step
  }

  [Symbol.dispose](): void {
    this.#stepper[Symbol.dispose]()
    this.#evaluator[Symbol.dispose]()
  }
}

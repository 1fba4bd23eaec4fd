/**
 * One optimizer step: the gradients of the micro-batches, their average by a binary tree (docs/internals/arithmetic.md,
 * end of section 4), the norm, the AdamW update. Owns the weights and moments of a run.
 */
import { PlanMemory, ownBytes } from '../exec/plan-memory.ts'
import type { Executor, LoadedPlan } from '../exec/plan.ts'
import { addPlan, optimizerPlan } from '../graph/optimizer-plan.ts'
import { invariant } from '../lib/errors.ts'
import type { ModelConfig } from '../model/config.ts'
import { batchInputs, trainingGraph } from '../model/graphs.ts'
import { clearZeroGradients, elementsOf, parametersOf } from '../model/parameters.ts'
import type { Parameter } from '../model/parameters.ts'
import type { TokenSource } from '../eval/token-source.ts'
import type { TrainOptions } from './options.ts'
import { Sampler } from './sampler.ts'
import { scheduleAt } from './schedule.ts'

/** The three vectors of a run, one value a parameter element each. */
export const stateNames = ['weights', 'adamM', 'adamV'] as const
export type StateName = (typeof stateNames)[number]

export interface StepResult {
  /** Mean loss over the step's tokens, before the update. */
  readonly loss: number
  /** Global norm of the gradient before clipping. */
  readonly norm: number
  readonly lr: number
}

/** The options that affect a step. */
export type StepOptions = Omit<TrainOptions, 'evalEvery' | 'evalTokens'>

/** Maximum number of gradients kept at once: one per level of the tree that averages those of the micro-batches. */
export const gradientLevels = (microBatches: number): number => 32 - Math.clz32(microBatches)

export class Stepper implements Disposable {
  readonly config: ModelConfig
  readonly parameters: readonly Parameter[]
  #options: StepOptions
  #memory: Record<StateName, ArrayBuffer>
  #offsets: ReadonlyMap<string, number>
  #micro: LoadedPlan
  #add: LoadedPlan | undefined
  #update: LoadedPlan
  #run: PlanMemory
  #optimizer: PlanMemory
  /** Bytes that a step uses: weights, moments, gradients, activations. */
  readonly bytes: number
  /** One gradient for each level of the tree. */
  #gradients: ArrayBuffer[]
  #window: Int32Array

  /** Weights and moments are zero until they are set with `values`. */
  constructor(executor: Executor, config: ModelConfig, options: StepOptions) {
    this.config = config
    this.parameters = parametersOf(config)
    this.#options = options
    const shape = { batch: options.batch, context: config.context }
    const { plan, layout, constants } = trainingGraph(config, shape)
    this.#memory = {
      weights: executor.allocate(layout.bytes),
      adamM: executor.allocate(layout.bytes),
      adamV: executor.allocate(layout.bytes)
    }
    this.#offsets = new Map(layout.entries.map(e => [e.name, e.offset]))
    const levels = gradientLevels(options.microBatches)
    this.#gradients = Array.from({ length: levels }, () => executor.allocate(layout.bytes))
    this.#micro = executor.load(plan)
    this.#add = levels > 1 ? executor.load(addPlan(layout.bytes)) : undefined
    this.#update = executor.load(optimizerPlan(layout, options.clip))
    this.#window = new Int32Array(config.context + 1)
    const [weights, adamM, adamV] = stateNames.map(name => new Uint8Array(this.#memory[name])) as [
      Uint8Array,
      Uint8Array,
      Uint8Array
    ]
    const gradients = new Uint8Array(this.#gradients[0]!)
    const fixed = { ...constants, ...batchInputs(shape), lossScale: Float32Array.of(1 / options.microBatches) }
    this.#run = new PlanMemory(executor, plan, { weights, gradients }, fixed)
    this.#optimizer = new PlanMemory(executor, this.#update.plan, { weights, gradients, adamM, adamV })
    const vectors = (stateNames.length + levels) * layout.bytes
    const optimizer = ownBytes(this.#update.plan, [...stateNames, 'gradients'])
    this.bytes = vectors + ownBytes(plan, ['weights', 'gradients']) + optimizer
  }

  /** Bytes of weights, for other plans with the same parameters (evaluation). */
  get weights(): Uint8Array {
    return new Uint8Array(this.#memory.weights)
  }

  /** The values of one parameter in one of the vectors: a view, to read or to set. */
  values(state: StateName, parameter: Parameter): Float32Array {
    return this.#view(this.#memory[state], parameter)
  }

  #view(memory: ArrayBuffer, parameter: Parameter): Float32Array {
    const offset = this.#offsets.get(parameter.name)
    invariant(offset !== undefined, `${parameter.name} has no place in the weights`)
    return new Float32Array(memory, offset, elementsOf(parameter))
  }

  /**
   * Does step `step` (from 0) of the run. When the loss or norm it gives is not finite, the weights are of no more use.
   * @param onMicroBatch called after each micro-batch with the number done
   */
  async step(step: number, data: TokenSource, onMicroBatch: (done: number) => void = () => {}): Promise<StepResult> {
    const o = this.#options
    const sampler = new Sampler(o.seed, data.length, this.config.context)
    /**
     * Gradients waiting to be paired, with the number of micro-batches in each: the levels of the tree, largest first.
     */
    const stack: { memory: ArrayBuffer; size: number }[] = []
    const free = [...this.#gradients]
    let loss = 0
    const merge = async (): Promise<void> => {
      const right = stack.pop()!
      const left = stack.at(-1)!
      await this.#add!.run({ left: new Uint8Array(left.memory), right: new Uint8Array(right.memory) })
      left.size += right.size
      free.push(right.memory)
    }
    for (let m = 0; m < o.microBatches; m++) {
      const memory = free.pop()!
      loss += await this.#microBatch(step, m, sampler, data, memory)
      stack.push({ memory, size: 1 })
      while (stack.length > 1 && stack.at(-1)!.size === stack.at(-2)!.size) await merge()
      onMicroBatch(m + 1)
    }
    while (stack.length > 1) await merge()
    loss /= o.microBatches
    const { lr, weightDecay } = scheduleAt(o, step)
    this.#optimizer.f32('hyper').set(adamHyper(o, step, lr, weightDecay))
    if (!Number.isFinite(loss)) return { loss, norm: NaN, lr }
    clearZeroGradients(this.parameters, p => this.#view(stack[0]!.memory, p))
    this.#optimizer.buffers['gradients'] = new Uint8Array(stack[0]!.memory)
    await this.#update.run(this.#optimizer.buffers)
    return { loss, norm: this.#optimizer.f32('clip')[0]!, lr }
  }

  async #microBatch(
    step: number,
    micro: number,
    sampler: Sampler,
    data: TokenSource,
    gradients: ArrayBuffer
  ): Promise<number> {
    const { batch, microBatches, seed } = this.#options
    const { context } = this.config
    const index = step * microBatches + micro
    const [ids, targets] = [this.#run.i32('ids'), this.#run.i32('targets')]
    for (let b = 0; b < batch; b++) {
      data.read(sampler.start(index * batch + b), context + 1, this.#window)
      ids.set(this.#window.subarray(0, context), b * context)
      targets.set(this.#window.subarray(1), b * context)
    }
    if (this.#run.has('rng')) this.#run.i32('rng').set([seed % 4294967296, Math.floor(seed / 4294967296), index])
    this.#run.buffers['gradients'] = new Uint8Array(gradients)
    await this.#micro.run(this.#run.buffers)
    return this.#run.f32('loss')[0]!
  }

  [Symbol.dispose](): void {
    this.#micro.dispose()
    this.#add?.dispose()
    this.#update.dispose()
  }
}

/**
 * The six numbers of `adamw` in docs/internals/arithmetic.md, in f64; powers by repeated multiplication. @param step
 * from 0
 */
export function adamHyper(
  o: Pick<StepOptions, 'beta1' | 'beta2' | 'eps'>,
  step: number,
  lr: number,
  weightDecay: number
): number[] {
  let power1 = 1
  let power2 = 1
  for (let t = 0; t <= step; t++) {
    power1 *= o.beta1
    power2 *= o.beta2
  }
  return [o.beta1, o.beta2, 1 - lr * weightDecay, lr / (1 - power1), 1 / Math.sqrt(1 - power2), o.eps]
}

/** How fast training runs here: whole optimizer steps of a model on random tokens. */
import { tokensInMemory } from '../eval/token-source.ts'
import type { Executor } from '../exec/plan.ts'
import { Philox } from '../lib/philox.ts'
import type { ModelConfig } from '../model/config.ts'
import { initialWeights } from '../model/initialise.ts'
import { parameterCount } from '../model/parameters.ts'
import type { TrainOptions } from './options.ts'
import { Stepper } from './stepper.ts'

export interface TrainingSpeed {
  readonly steps: number
  readonly tokensPerStep: number
  /** Milliseconds of each step, in order. */
  readonly milliseconds: readonly number[]
  /** Loss of the last step, as a sign of real work. */
  readonly loss: number
  /** Floating-point operations of a step by the usual estimate, 6 · parameters · tokens. */
  readonly flopsPerStep: number
}

/** Two steps to warm up, then `steps` that are timed. @param onStep called after each with the number done */
export async function measureTraining(
  executor: Executor,
  config: ModelConfig,
  options: TrainOptions,
  steps: number,
  onStep: (done: number) => void = () => {}
): Promise<TrainingSpeed> {
  using stepper = new Stepper(executor, config, options)
  const initial = initialWeights(config, options.seed)
  for (const p of stepper.parameters) stepper.values('weights', p).set(initial.get(p.name)!)
  const random = new Philox(1, 0, 0)
  const data = tokensInMemory(
    Int32Array.from({ length: 64 * config.context + 1 }, (_, i) => Math.floor(random.uniform(i) * config.vocab))
  )
  const milliseconds: number[] = []
  let loss = NaN
  for (let step = 0; step < steps + 2; step++) {
    const start = performance.now()
    loss = (await stepper.step(step, data)).loss
    if (step >= 2) milliseconds.push(performance.now() - start)
    onStep(milliseconds.length)
  }
  const tokensPerStep = options.batch * options.microBatches * config.context
  return { steps, tokensPerStep, milliseconds, loss, flopsPerStep: 6 * parameterCount(config) * tokensPerStep }
}

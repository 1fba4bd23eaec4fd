/** A dry run: the forecast of a run, with a few steps measured on its data. Writes nothing. */
import { Evaluator } from '../eval/evaluator.ts'
import { initialWeights } from '../model/initialise.ts'
import { parameterCount } from '../model/parameters.ts'
import { checkData } from './check-data.ts'
import { forecastLines, timeLine } from './forecast.ts'
import { Pace } from './pace.ts'
import type { MeasuredPace } from './pace.ts'
import type { PlannedRun } from './setup.ts'
import { Stepper, gradientLevels } from './stepper.ts'

/** Steps that are measured, unless the first one takes long. */
const STEPS = 4
/** Micro-batches of a measured step; the others take as long. */
const MICRO_BATCHES = 2

/**
 * @param from steps of the run that are done
 * @returns lines for a person @throws VeritError as `train` does for its setup
 */
export async function dryRun(setup: PlannedRun, from: number): Promise<string[]> {
  checkData(setup)
  const { config, options, executor } = setup
  const microBatches = Math.min(MICRO_BATCHES, options.microBatches)
  using stepper = new Stepper(executor, config, { ...options, microBatches })
  using evaluator = new Evaluator(executor, config, stepper.weights)
  const moreGradients = gradientLevels(options.microBatches) - gradientLevels(microBatches)
  const forecast = { setup, from, bytes: stepper.bytes + evaluator.bytes + moreGradients * 4 * parameterCount(config) }
  const pace = await measure(stepper, setup, microBatches)
  const seconds = pace && (pace.seconds * options.microBatches) / microBatches
  return [...forecastLines(forecast), ...(seconds === undefined ? [] : [timeLine(forecast, { ...pace!, seconds })])]
}

async function measure(stepper: Stepper, setup: PlannedRun, microBatches: number): Promise<MeasuredPace | undefined> {
  const { config, options, data, signal } = setup
  const initial = initialWeights(config, options.seed)
  for (const p of stepper.parameters) stepper.values('weights', p).set(initial.get(p.name)!)
  const pace = new Pace(microBatches)
  const steps = Math.min(STEPS, options.steps)
  for (let step = 0; step < steps && !signal?.aborted; step++) {
    pace.begin()
    await stepper.step(step, data.train)
    pace.end()
    const measured = pace.tell(step === steps - 1)
    if (measured !== undefined) return measured
  }
  return undefined
}

/**
 * `npm run -s fixture -- DIR`: trains the model of a reference folder (`fixture.json`, `tensors.safetensors`; made by
 * PyTorch in float64) for its steps and prints, as one JSON line, how far the logits, losses, gradients and weights are
 * from the reference. Relative errors are per tensor, the norm of the difference over the norm.
 *
 * `npm run -s fixture -- MODEL.gguf DIR`: compares a model with the logits and greedy tokens of a reference
 * (fixture-model.ts), as one JSON line too.
 */
import { resolve } from 'node:path'
import { openExecutor } from '../src/exec/index.ts'
import { PlanMemory } from '../src/exec/plan-memory.ts'
import { optimizerPlan } from '../src/graph/optimizer-plan.ts'
import { VeritError } from '../src/lib/errors.ts'
import { batchInputs, trainingGraph } from '../src/model/graphs.ts'
import { clearZeroGradients, elementsOf, parametersOf } from '../src/model/parameters.ts'
import type { Parameter } from '../src/model/parameters.ts'
import { adamHyper } from '../src/train/stepper.ts'
import { FixtureFolder } from './fixture-folder.ts'
import type { Values } from './fixture-folder.ts'
import { compareModel } from './fixture-model.ts'

// npm runs a script in the package's folder; a relative path means the one it was called from.
const [first, second, more] = process.argv.slice(2).map(path => resolve(process.env['INIT_CWD'] ?? '', path))
if (first === undefined || more !== undefined) {
  process.stderr.write('usage: npm run -s fixture -- DIR\n       npm run -s fixture -- MODEL.gguf EXPECTED_DIR\n')
  process.exit(2)
}

try {
  process.stdout.write(
    `${JSON.stringify(second === undefined ? await check(first) : await compareModel(first, second))}\n`
  )
} catch (e) {
  if (!VeritError.is(e)) throw e
  process.stderr.write(`${e.message}\n`)
  process.exitCode = e.exit
}

async function check(dir: string): Promise<Record<string, unknown>> {
  using fixture = new FixtureFolder(dir)
  const { config, batch, optimizer: settings } = fixture
  const rows = batch.batch * batch.context
  const executor = openExecutor()
  const { plan, layout, constants } = trainingGraph(config, batch, { logits: true })
  const micro = executor.load(plan)
  const update = executor.load(optimizerPlan(layout, settings.clip))
  const memory = (): Uint8Array => new Uint8Array(executor.allocate(layout.bytes))
  const weights = memory()
  const gradients = memory()
  const run = new PlanMemory(
    executor,
    plan,
    { weights, gradients },
    { ...constants, ...batchInputs(batch), lossScale: Float32Array.of(1) }
  )
  const optimizer = new PlanMemory(executor, update.plan, { weights, gradients, adamM: memory(), adamV: memory() })
  const parameters = parametersOf(config)
  const offsets = new Map(layout.entries.map(e => [e.name, e.offset]))
  const view = (bytes: Uint8Array, p: Parameter): Float32Array =>
    new Float32Array(bytes.buffer, offsets.get(p.name), elementsOf(p))
  const reference = (kind: 'weight' | 'grad' | 'after', p: Parameter): Values =>
    fixture.read(`${kind}.${p.name}`, elementsOf(p))
  for (const p of parameters) view(weights, p).set(reference('weight', p))

  const worst = { maxAbsLogits: 0, maxAbsLosses: 0, maxRelGradients: 0, maxRelWeightsAfter: 0, maxAbsWeightsAfter: 0 }
  const raise = (key: keyof typeof worst, value: number): void => {
    worst[key] = Number.isNaN(value) ? NaN : Math.max(worst[key], value)
  }
  for (const [step, sequences] of fixture.tokens.entries()) {
    sequences.forEach((s, b) => {
      run.i32('ids').set(s.slice(0, -1), b * batch.context)
      run.i32('targets').set(s.slice(1), b * batch.context)
    })
    await micro.run(run.buffers)
    clearZeroGradients(parameters, p => view(gradients, p))
    raise('maxAbsLosses', Math.abs(run.f32('loss')[0]! - fixture.losses[step]!))
    if (step === 0) {
      const elements = rows * config.vocab
      raise('maxAbsLogits', maxAbs(run.f32('logits').subarray(0, elements), fixture.read('logits', elements)))
      for (const p of parameters) raise('maxRelGradients', relative(view(gradients, p), reference('grad', p)))
    }
    optimizer.f32('hyper').set(adamHyper(settings, step, settings.lr, settings.weightDecay))
    await update.run(optimizer.buffers)
  }
  for (const p of parameters) {
    raise('maxRelWeightsAfter', relative(view(weights, p), reference('after', p)))
    raise('maxAbsWeightsAfter', maxAbs(view(weights, p), reference('after', p)))
  }
  return { kind: config.kind, executor: executor.name, ...worst }
}

function maxAbs(a: Float32Array, b: Values): number {
  return a.reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i]!)), 0)
}

/** The norm of a - b over that of b; the norm of a - b alone where b is zero. */
function relative(a: Float32Array, b: Values): number {
  let difference = 0
  let norm = 0
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2
    norm += b[i]! ** 2
  }
  return Math.sqrt(norm === 0 ? difference : difference / norm)
}

/** Training that must give the same weights wherever it runs. */
import assert from 'node:assert/strict'
import { tokensInMemory } from '../src/eval/token-source.ts'
import { instructionSets, openExecutor } from '../src/exec/index.ts'
import { parseModelConfig } from '../src/model/config.ts'
import { initialWeights } from '../src/model/initialise.ts'
import { weightsDigest } from '../src/train/checkpoint.ts'
import { trainDefaults } from '../src/train/presets.ts'
import { Stepper } from '../src/train/stepper.ts'

const models = {
  gpt: parseModelConfig({
    kind: 'gpt',
    layers: 2,
    hidden: 36,
    heads: 3,
    context: 19,
    vocab: 71,
    bias: true,
    dropout: 0.1
  }),
  bitnet: parseModelConfig({
    kind: 'bitnet',
    layers: 2,
    hidden: 48,
    heads: 4,
    kvHeads: 2,
    ffn: 104,
    context: 19,
    vocab: 71
  })
}
const tokens = tokensInMemory(Int32Array.from({ length: 3000 }, (_, i) => (i * i + (i >> 2)) % 71))
const options = { ...trainDefaults, warmup: 3, lr: 3e-3, batch: 3, microBatches: 3 }

/** Trains one of the models on every executor, instruction set and number of threads, and compares the digests. */
export async function sameBits(kind: keyof typeof models, steps: number): Promise<void> {
  const config = models[kind]
  const digests = new Map<string, string>()
  for (const instructionSet of instructionSets()) {
    for (const threads of instructionSet === 'reference' ? [1] : [1, 2]) {
      using stepper = new Stepper(openExecutor({ instructionSet, threads }), config, { ...options, steps })
      const initial = initialWeights(config, options.seed)
      for (const p of stepper.parameters) stepper.values('weights', p).set(initial.get(p.name)!)
      for (let step = 0; step < steps; step++) await stepper.step(step, tokens)
      const digest = weightsDigest(stepper.parameters, p => stepper.values('weights', p))
      digests.set(`${instructionSet}, ${threads} threads`, digest)
    }
  }
  assert.equal(new Set(digests.values()).size, 1, JSON.stringify([...digests], null, 1))
}

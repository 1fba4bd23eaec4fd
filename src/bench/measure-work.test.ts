import assert from 'node:assert/strict'
import { test } from 'node:test'
import { referenceExecutor } from '../exec/reference.ts'
import { openExecutor } from '../exec/index.ts'
import { parseModelConfig } from '../model/config.ts'
import type { ModelConfig } from '../model/config.ts'
import { modelOfShape } from '../model/measured-shapes.ts'
import { typesOfMix } from '../model/types-of-mix.ts'
import { servingForm, typesOf } from '../model/weights.ts'
import { parameterCount } from '../model/parameters.ts'
import { measureWork } from './measure-work.ts'
import { randomWeights } from '../model/random-weights.ts'
import type { MixName } from '../weights/type-mix.ts'
import { tokenCost } from './token-cost.ts'
import type { TokenCost } from './token-cost.ts'
import { bytesPerToken } from './workload.ts'
import type { WorkSize } from './workload.ts'

const config = parseModelConfig({
  kind: 'bitnet',
  layers: 1,
  hidden: 64,
  heads: 2,
  kvHeads: 1,
  ffn: 96,
  context: 64,
  vocab: 300
})
const form = servingForm(config, { type: typesOf({ embedding: 'F16' }), codes: 'two-bit' })

test('each kind of work gives rates that belong together, and tells all of its tokens', async () => {
  const executor = openExecutor({ threads: 1 })
  const weights = await randomWeights(executor, config, form)
  let busy = 0
  const started = async (): Promise<AsyncDisposable> => {
    busy++
    return { [Symbol.asyncDispose]: async () => void busy-- }
  }
  for (const size of [
    { workload: 'decode', tokens: 5, sequences: 1 },
    { workload: 'prefill', tokens: 40, sequences: 1 },
    { workload: 'batch', tokens: 4, sequences: 3 }
  ] satisfies WorkSize[]) {
    let last: number[] = []
    const m = await measureWork(executor, config, weights, size, {
      rounds: 2,
      readBytes: 4 << 20,
      busy: started,
      onProgress: (...at) => void (last = at)
    })
    assert.equal(busy, 0)
    const all = 2 * size.tokens * (2 * size.sequences + (size.sequences > 1 ? 1 : 0))
    assert.deepEqual(last, [all, all])
    for (const { min, median, max } of [
      m.tokensPerSecond,
      m.share.bandwidth,
      m.share.operations,
      m.share.emptyRuns,
      m.underLoad!.share
    ])
      assert.ok(0 < min && min <= median && median <= max)
    assert.equal(m.bytesPerSecond.max, m.tokensPerSecond.max * m.bytesPerToken)
    assert.equal(m.alone !== undefined, size.workload === 'batch')
  }
})

test('the reference executor can be measured, too', async () => {
  const executor = referenceExecutor()
  const { tokensPerSecond } = await measureWork(
    executor,
    config,
    await randomWeights(executor, config, form),
    { workload: 'decode', tokens: 2, sequences: 1 },
    { rounds: 1, readBytes: 1 << 20 }
  )
  assert.ok(tokensPerSecond.median > 0)
})

test('a token of the 2B-4T shape costs what its weights say', () => {
  const model = modelOfShape('bitnet-2b4t')
  const ternary = 30 * (2 * 2560 * 2560 + 2 * 640 * 2560 + 3 * 6912 * 2560)
  const two = tokenCost(model, servingForm(model, { type: typesOf({ embedding: 'F16' }), codes: 'two-bit' }), 'f32')
  const five = tokenCost(model, servingForm(model, { type: typesOf({ embedding: 'Q6_K' }), codes: 'base3' }), 'f16')
  assert.deepEqual([two.operations, five.operations], [2 * ternary, 2 * ternary])
  assert.deepEqual([two.head, five.head], ['f16', 'q6_k'])
  assert.equal(two.headBytes, 128_256 * 2560 * 2)
  assert.ok(Math.abs(five.headBytes / (128_256 * 2560) - 0.75 - 1 / 16 - 1 / 64) < 1e-9)
  // norms and what rounds up
  const more = (bytes: number, least: number): boolean => bytes > least && bytes < 1.01 * least
  assert.ok(more(two.layerBytes, ternary / 4) && more(five.layerBytes, ternary / 5))
  assert.deepEqual([two.positionBytes, five.positionBytes], [30 * 2 * 640 * 4, 30 * 2 * 640 * 2])
  assert.equal(parameterCount(model), ternary + 128_256 * 2560 + 30 * (3 * 2560 + 6912) + 2560)
  assert.ok(Math.abs(parameterCount(modelOfShape('bitnet-125m')) - 123.6e6) < 1e5)
})

test('a head of its own is read whole, the token embedding beside it by the row', () => {
  const own = parseModelConfig({ ...config, tied: false })
  const tied = tokenCost(config, form, 'f32')
  const { head, headBytes, layerBytes } = tokenCost(
    own,
    servingForm(own, { type: typesOf({ embedding: 'F16', head: 'F32' }), codes: 'two-bit' }),
    'f32'
  )
  assert.deepEqual(
    [tied.head, tied.headBytes, head, headBytes, layerBytes],
    ['f16', 320 * 64 * 2, 'f32', 320 * 64 * 4, tied.layerBytes]
  )
})

test('rows of one run share what they read', () => {
  const none = { expertBytes: 0, expertShare: 1 }
  const cost = { head: 'f16', layerBytes: 1000, headBytes: 100, positionBytes: 2, operations: 0, ...none }
  assert.equal(bytesPerToken(cost, { workload: 'decode', tokens: 9, sequences: 1 }, 256), 1100 + 2 * 5)
  assert.equal(bytesPerToken(cost, { workload: 'batch', tokens: 9, sequences: 4 }, 256), 1100 / 4 + 2 * 5)
  assert.equal(
    bytesPerToken(cost, { workload: 'prefill', tokens: 8, sequences: 1 }, 4),
    (2 * 1000 + 100 + 2 * (4 + 8)) / 8
  )
})

test('experts are read by the share that rows are expected to choose', () => {
  const cost = {
    head: 'f16',
    layerBytes: 0,
    expertBytes: 800,
    expertShare: 1 / 4,
    headBytes: 0,
    positionBytes: 0,
    operations: 0
  }
  assert.equal(bytesPerToken(cost, { workload: 'decode', tokens: 9, sequences: 1 }, 256), 200)
  assert.equal(bytesPerToken(cost, { workload: 'batch', tokens: 9, sequences: 2 }, 256), 175)
  assert.equal(bytesPerToken(cost, { workload: 'prefill', tokens: 3, sequences: 1 }, 2), (350 + 200) / 3)
})

const mixCost = (config: ModelConfig, mix: MixName): TokenCost =>
  tokenCost(config, servingForm(config, { type: typesOfMix(config, mix), codes: 'two-bit' }), 'f32')

test('operations count the weights of block-quantised matrices, and the experts that a token is sent to', () => {
  const llama = modelOfShape('llama-1b')
  const layers = 16 * (2 * 2048 * 2048 + 2 * 512 * 2048 + 3 * 8192 * 2048)
  const operations = (['Q4_K_M', 'Q8_0', 'F16'] as const).map(mix => mixCost(llama, mix).operations)
  assert.deepEqual(operations, [2 * layers, 2 * layers, 0])
  const size = { layers: 1, hidden: 64, heads: 2, kvHeads: 1, ffn: 96, context: 64, vocab: 300, eps: 1e-5 }
  const experts = { experts: 8, expertsUsed: 2, expertFfn: 32 }
  const cost = mixCost(parseModelConfig({ ...size, ...experts, kind: 'qwen3moe', headDim: 32 }), 'Q8_0')
  assert.equal(cost.operations, 2 * (2 * 64 * 64 + 2 * 32 * 64 + 2 * 3 * 32 * 64))
  assert.equal(cost.expertShare, 1 / 4)
  assert.equal(cost.expertBytes, 8 * (2 * 2 * 16 * 68 + 4 * 576)) // panels of 16 rows are multiples of 64 bytes
})

test('a token of Llama 3.2 1B as Q4_K_M reads the bytes of its blocks', () => {
  const { head, headBytes, layerBytes } = mixCost(modelOfShape('llama-1b'), 'Q4_K_M')
  const six = 8 * (512 * 2048 + 2048 * 8192)
  const four = 16 * (2 * 2048 * 2048 + 2 * 512 * 2048 + 3 * 8192 * 2048) - six
  const blocks = (six * 210) / 256 + (four * 144) / 256
  assert.ok(head === 'q6_k' && layerBytes > blocks && layerBytes < 1.03 * blocks) // scales take whole bytes
  assert.ok(headBytes > (128_256 * 2048 * 210) / 256 && headBytes < 1.02 * ((128_256 * 2048 * 210) / 256))
})

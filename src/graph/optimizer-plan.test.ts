import assert from 'node:assert/strict'
import { test } from 'node:test'
import { referenceExecutor } from '../exec/reference.ts'
import { Graph } from './graph.ts'
import { weightLayout } from './layout.ts'
import { addPlan, optimizerPlan } from './optimizer-plan.ts'

test('the optimizer plan decays matrices alone, clips, and reports the norm', async () => {
  const g = new Graph()
  g.parameter('gain', [3])
  g.parameter('w', [2, 3])
  const layout = weightLayout(g)
  const plan = optimizerPlan(layout, 1)
  const elements = layout.bytes / 4
  const make = (): Float32Array => new Float32Array(elements)
  const buffers = {
    weights: make(),
    gradients: make(),
    adamM: make(),
    adamV: make(),
    hyper: Float32Array.of(0.9, 0.95, 0.5, 0, 1, 1e-8),
    clip: new Float32Array(16)
  }
  for (const e of layout.entries) {
    buffers.weights.fill(2, e.offset / 4, (e.offset + e.bytes) / 4)
    buffers.gradients.fill(3, e.offset / 4, (e.offset + e.bytes) / 4)
  }
  const padded = { ...buffers, hyper: Float32Array.from({ length: 16 }, (_, i) => buffers.hyper[i] ?? 0) }
  await referenceExecutor().load(plan).run(padded)
  assert.ok(Math.abs(padded.clip[0]! - 9) < 1e-6 && Math.abs(padded.clip[1]! - 1 / 9) < 1e-6)
  const [w, gain] = layout.entries
  assert.deepEqual([...padded.weights.subarray(w!.offset / 4, w!.offset / 4 + 6)], [1, 1, 1, 1, 1, 1])
  assert.deepEqual([...padded.weights.subarray(gain!.offset / 4, gain!.offset / 4 + 3)], [2, 2, 2])
  assert.ok(
    padded.weights.slice(w!.offset / 4 + 6, gain!.offset / 4).every(x => x === 0),
    'the gap stays zero'
  )
})

test('the addition plan adds the right buffer to the left one', async () => {
  const left = Float32Array.from({ length: 32 }, (_, i) => i)
  const right = new Float32Array(32).fill(0.5)
  await referenceExecutor().load(addPlan(128)).run({ left, right })
  assert.deepEqual(
    [...left],
    Array.from({ length: 32 }, (_, i) => i + 0.5)
  )
})

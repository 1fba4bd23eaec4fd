import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gatings, topExperts, type Gating } from './experts.ts'

interface Choice {
  readonly gating?: Gating
  readonly normalise?: 0 | 1
  readonly scale?: number
  readonly bias?: readonly number[]
}

function choose(
  logits: readonly number[],
  k: number,
  { gating = 'softmax', normalise = 0, scale = 1, bias }: Choice = {}
): { experts: number[]; weights: number[] } {
  const experts = new Int32Array(k)
  const weights = new Float32Array(k)
  const E = logits.length
  const inputs = [Float32Array.from(logits), ...(bias ? [Float32Array.from(bias)] : [])]
  const a = { N: 1, E, k, gating: gatings.indexOf(gating), normalise, hasBias: bias ? 1 : 0, scale }
  topExperts.run(inputs, [experts, weights], a)
  return { experts: [...experts], weights: [...weights] }
}

function near(got: readonly number[], want: readonly number[]): void {
  assert.equal(got.length, want.length)
  for (const [i, w] of want.entries()) assert.ok(Math.abs(got[i]! - w) < 1e-6, `element ${i}: ${got[i]}, not ${w}`)
}

const logits = [0.5, 2, -1, 2, 1]
const total = logits.reduce((s, x) => s + Math.exp(x), 0)
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

test('experts come in descending order, the lower index first of equals, and NaN last', () => {
  assert.deepEqual(choose(logits, 4).experts, [1, 3, 4, 0])
  assert.deepEqual(choose([0, -0, 0], 2, { gating: 'chosen' }).experts, [0, 1])
  assert.deepEqual(choose([NaN, 1, -Infinity, NaN], 4, { gating: 'sigmoid' }).experts, [1, 2, 0, 3])
  assert.deepEqual(choose([NaN, 1, 2], 2).experts, [0, 1], 'one NaN makes all probabilities NaN')
})

test('weights follow the gating, before or after the choice', () => {
  near(choose(logits, 2).weights, [Math.exp(2) / total, Math.exp(2) / total])
  near(choose(logits, 2, { gating: 'sigmoid', scale: 2.5 }).weights, [2.5 * sigmoid(2), 2.5 * sigmoid(2)])
  const three = 2 * Math.exp(2) + Math.exp(1)
  near(choose(logits, 3, { gating: 'chosen' }).weights, [Math.exp(2) / three, Math.exp(2) / three, Math.exp(1) / three])
  near(choose(logits, 3, { normalise: 1 }).weights, [Math.exp(2) / three, Math.exp(2) / three, Math.exp(1) / three])
  near(choose([-40, -40], 2, { gating: 'sigmoid', normalise: 1 }).weights, [0, 0])
})

test('a bias changes the choice, but not the weights', () => {
  const { experts, weights } = choose(logits, 2, { gating: 'sigmoid', bias: [0, 0, 5, 0.25, 0] })
  assert.deepEqual(experts, [2, 3])
  near(weights, [sigmoid(-1), sigmoid(2)])
})

/**
 * The plans around a training step that no graph describes: AdamW over the flat weight buffer, and adding up gradients.
 */
import type { Plan } from '../exec/plan.ts'
import type { Layout } from './layout.ts'
import { PlanBuilder } from './plan-builder.ts'

/**
 * One clipped AdamW step (docs/internals/arithmetic.md: squareSum, clipFactor, adamw) over the buffers 'weights',
 * 'gradients', 'adamM', 'adamV', each `layout.bytes` long; 'hyper' f32 [6] in, 'clip' f32 [2] out: the gradient's norm
 * and the factor applied.
 * @param maxNorm global norm above which gradients are scaled down; 0 for never
 */
export function optimizerPlan(layout: Layout, maxNorm: number): Plan {
  const plan = new PlanBuilder()
  const P = layout.bytes / 4
  const S = Math.ceil(P / 4096)
  const [w, g, m, v] = ['weights', 'gradients', 'adamM', 'adamV'].map(name => plan.tensor(name, 'f32', P))
  const hyper = plan.tensor('hyper', 'f32', 6)
  const clip = plan.tensor('clip', 'f32', 2)
  const sums = plan.tensor('arena', 'f32', S)
  plan.step('squareSum', [g!], [sums], { P })
  plan.step('clipFactor', [sums], [clip], { S, maxNorm: Math.fround(maxNorm) })
  plan.step('adamw', [w!, g!, m!, v!, clip, hyper], [w!, m!, v!], { P, decayed: layout.matrixBytes / 4 })
  return plan.build()
}

/**
 * left += right, elementwise, for buffers of `bytes` bytes of f32: a node of the tree that adds micro-batch gradients.
 */
export function addPlan(bytes: number): Plan {
  const plan = new PlanBuilder()
  const left = plan.tensor('left', 'f32', bytes / 4)
  const right = plan.tensor('right', 'f32', bytes / 4)
  plan.step('add', [left, right], [left], { N: 1, C: bytes / 4 })
  return plan.build()
}
